"""All methods by name."""

from collections.abc import Mapping

from jobs.mixtures.method import Method
from jobs.mixtures.methods.climb import CLIMB, REGMIX
from jobs.mixtures.methods.doremi import DOREMI
from jobs.mixtures.methods.fixed import PROPORTIONAL, UNIFORM, UNIMAX
from jobs.mixtures.methods.guided import DEFAULT, EXPECTED_IMPROVEMENT, RECENTRED
from jobs.mixtures.methods.olmix import OLMIX

METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        DEFAULT,
        RECENTRED,
        EXPECTED_IMPROVEMENT,
        CLIMB,
        REGMIX,
        OLMIX,
        DOREMI,
        UNIMAX,
        UNIFORM,
        PROPORTIONAL,
    )
}
