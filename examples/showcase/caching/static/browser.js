// What the browser did for a file at this visit, and what it holds of it now.

/** A 304 is reported as 300 bytes: a head of fixed size and no content (Resource Timing §4.4). */
const HEAD = 300;

/** The timing of a file of this page; of the page itself that of its navigation. */
export function findTiming(url) {
  const [navigation] = performance.getEntriesByType("navigation");
  if (url === location.href) return navigation;
  // The first: what buttons fetch later is no part of the visit.
  return performance.getEntriesByName(url, "resource")[0];
}

/**
 * "cache", "304", "network", or "nothing" where the page has not loaded it. Browsers do not tell
 * scripts whether a copy lay in memory or on disk.
 */
export function whatHappened(timing) {
  if (!timing) return "nothing";
  if (timing.transferSize === 0) return "cache";
  const { transferSize, encodedBodySize, responseStatus } = timing;
  const validated = responseStatus === 304 || transferSize <= HEAD || transferSize < encodedBodySize;
  return validated ? "304" : "network";
}

/**
 * The copy that the browser holds, without a request (Fetch §2.2.5: "only-if-cached"): its ETag,
 * coding, and the seconds it is still fresh; `null` if there is none.
 *
 * @param {number} now Unix time in seconds, by the clock of the server
 */
export async function readCopy(url, now) {
  let response;
  try {
    response = await fetch(url, { cache: "only-if-cached", mode: "same-origin" });
  } catch {
    return null;
  }
  if (!response.ok) return null;
  const { headers } = response;
  const promise = headers.get("cache-control") ?? "";
  const date = Date.parse(headers.get("date")) / 1000;
  const age = Math.max(0, now - date) + Number(headers.get("age") ?? 0);
  const lifetime = /\bmax-age=(\d+)/.exec(promise);
  return {
    etag: headers.get("etag"),
    coding: headers.get("content-encoding") ?? "no coding",
    validates: /\bno-cache\b/.test(promise) || !lifetime,
    freshUntil: lifetime ? now - age + Number(lifetime[1]) : now,
  };
}
