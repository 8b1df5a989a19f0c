"""What the system says of processes that are nobody's children here."""


def lives(pid: int) -> bool:
    """An orphan that has ended stays until init, or whoever stands for it, has noticed."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
