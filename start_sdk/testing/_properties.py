"""What backends are checked for: what each lack costs, and what may help."""

from __future__ import annotations

from typing import NamedTuple

from start_sdk.testing._check import Check


class Lack(NamedTuple):
    """Of a property that a backend does not have."""

    cost: str
    helps: str


_OTHER_MODE = "a server with /completions: --mode tokens, or --mode text"
_OTHER_SERVER = "a server that returns ids (vLLM, SGLang, llama.cpp), or the model itself"
_REPORT = "report it to whoever made the backend"

PROPERTIES = {
    "shows the model the whole question": Lack(
        "the model does not see what it is asked",
        "a chat template of text: --tokenizer FOLDER, or repair the model's",
    ),
    "ends with a reason": Lack("sessions cannot tell a pause from an end", _REPORT),
    "returns at most max_tokens": Lack("no limit holds", _REPORT),
    "text matches the ids": Lack("no trace verifies", "the model's own tokenizer: --tokenizer"),
    "returns the ids it sampled": Lack(
        "traces are not exact: no training on them, and each prefix is encoded again",
        _OTHER_SERVER,
    ),
    "stops inside thinking": Lack("no code runs and no hint is inserted", _OTHER_MODE),
    "withholds the match": Lack(
        "hints come too late: the end of thinking is already written", _REPORT
    ),
    "matched ids follow the released ids": Lack(
        "tokens are lost or duplicated where a stop matches", _REPORT
    ),
    "continues a prefix exactly": Lack(
        "after a splice the model continues something that is not in the trace", _OTHER_MODE
    ),
    "reuses its cache": Lack(
        "each splice recomputes the whole thought (or the server reports no cached tokens)",
        "the server's prefix cache; vLLM reports it with --enable-prompt-tokens-details",
    ),
    "stops abandoned generations": Lack(
        "abandoned generations slow down the others",
        "a direct connection: proxies may keep streams open",
    ),
    "still works after an abandoned generation": Lack(
        "one cancelled session breaks the others", _REPORT
    ),
    "the same seed gives the same tokens": Lack(
        "runs cannot be reproduced, and each result is one draw of many",
        "transformers with --backend-option deterministic=true",
    ),
    "returns log probabilities": Lack(
        "no importance ratios, no ranking by likelihood", _OTHER_SERVER
    ),
}


def check(name: str, ok: bool, detail: str = "", *, required: bool = True) -> Check:
    """A check of one of the `PROPERTIES`."""
    cost, helps = PROPERTIES[name]
    return Check(name, ok, detail, cost, required, helps)
