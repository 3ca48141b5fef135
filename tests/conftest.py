"""Settings of all tests."""

from hypothesis import settings

# this machine may be busy: a slow example is no failure, and the same run gives the same examples
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")
