"""The figures of START's paper for the suites that we load, for comparison with our own.

arXiv 2503.04625 v1, table 1, pass@1 in percent. The models have 32B parameters; measurements of
other models can neither confirm nor refute them. `NOTES` are our own arithmetic on the figures.
"""

from __future__ import annotations

SOURCE = "START, arXiv 2503.04625 v1, table 1"
BASE, RFT, START = "QwQ-32B-Preview", "QwQ-RFT (text only)", "START"

SCORES: dict[str, dict[str, float]] = {
    "gpqa": {BASE: 58.1, RFT: 58.5, START: 63.6},
    "math500": {BASE: 90.6, RFT: 91.8, START: 94.4},
    "amc23": {BASE: 80.0, RFT: 82.5, START: 95.0},
    "aime24": {BASE: 50.0, RFT: 53.3, START: 66.7},
    "aime25": {BASE: 40.0, RFT: 33.3, START: 47.1},
    "livecodebench": {BASE: 41.4, RFT: 42.1, START: 47.3},
}
PARTS: dict[str, dict[str, dict[str, float]]] = {
    "gpqa": {
        "Physics": {BASE: 73.8, START: 80.0},
        "Chemistry": {BASE: 41.9, START: 47.3},
        "Biology": {BASE: 68.4, START: 68.4},
    },
    "livecodebench": {
        "easy": {BASE: 92.3, START: 92.3},
        "medium": {BASE: 46.0, START: 84.6},
        "hard": {BASE: 10.2, START: 12.2},
    },
}
"""By subject and by difficulty, from the paper's figures."""
NOTES: dict[str, str] = {
    "livecodebench": (
        "The figures contradict each other. Its 112 problems are 26 easy, 37 medium and 49 hard "
        "(Search-o1's table fixes that), so START's parts come to 54.7, and table 1 prints 47.3, "
        "which is 53 of 112. 84.6 is no whole number of 37; 62.2 (23 of 37) would give exactly 53."
    ),
    "gpqa": (
        "With 86, 93 and 19 problems of physics, chemistry and biology the paper's subject scores "
        "come to 58.3 and 63.5; table 1 prints 58.1 and 63.6."
    ),
    "amc23": "A gain of 15.0 points is 6 problems of 40.",
    "aime24": "A gain of 16.7 points is 5 problems of 30.",
    "aime25": (
        "47.1 is no whole number of 30 problems, so it is not one greedy pass; 226 of 480 samples "
        "(16 each) would be 47.08."
    ),
}
