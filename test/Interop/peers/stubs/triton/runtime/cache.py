class FileCacheManager:
    pass


def default_cache_dir():
    return "."
