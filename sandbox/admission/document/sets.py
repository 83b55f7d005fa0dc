"""The named sets of content that ship with the host: what they are looked for by, and how much each expression tells.

Decides what is suspicious in a text; what is done about it the document says. A weight is how sure a match is, from 0 to 1; the
score of a text is how sure all its matches are together.

Rules: RE2's syntax; a set errs towards finding too much where it blocks commands, and too little where it reads prose. `secrets`
has no expressions here: what a credential looks like is `sandbox.redaction`, which also looks into JSON, base64 and URLs.

Sources: OWASP Top 10 for LLM applications (LLM01, prompt injection); ISO 7812 (card numbers), ISO 13616 (IBAN).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SECRETS = "secrets"


@dataclass(frozen=True, slots=True)
class Sign:
    """One expression of a set, what it finds, and how sure a match is."""

    expression: str
    finds: str
    weight: float = 1.0


_COMMANDS = (
    Sign(r"\brm\s+(?:-[a-zA-Z-]+\s+)*-[a-zA-Z]*(?:[rR][a-zA-Z]*f|f[a-zA-Z]*[rR])[a-zA-Z]*\b", "rm -rf"),
    Sign(r"\brm\s+(?:\S+\s+)*--recursive\b", "rm --recursive"),
    Sign(r"\brm\s+(?:-[a-zA-Z-]+\s+)*-[rR]\s+(?:-[a-zA-Z-]+\s+)*(?:/|~|\*)", "rm -r of a root"),
    Sign(r"(?i)\bdrop\s+(?:table|database|schema|view|index)\b", "DROP"),
    Sign(r"(?i)\btruncate\s+table\b", "TRUNCATE"),
    Sign(r"(?i)\bdelete\s+from\s+[^\s;]+\s*(?:;|$|--)", "DELETE without WHERE"),
    Sign(r"\bmkfs(?:\.[a-z0-9]+)?\s", "mkfs"),
    Sign(r"\bdd\s+(?:\S+\s+)*of=/dev/", "dd onto a device"),
    Sign(r">\s*/dev/(?:sd|nvme|hd|vd|mmcblk)", "writing onto a device"),
    Sign(r":\(\)\s*\{\s*:\s*\|\s*:\s*&\s*\}\s*;\s*:", "a fork bomb"),
    Sign(r"\bchmod\s+(?:-[a-zA-Z]+\s+)*0?777\s+/(?:\s|$)", "chmod 777 /"),
    Sign(r"\b(?:curl|wget)\b[^|;\n]*\|\s*(?:sudo\s+)?(?:ba|z|da|k)?sh\b", "running what was downloaded"),
    Sign(r"\bgit\s+push\s+(?:\S+\s+)*(?:--force|-f)(?:\s|$)", "git push --force"),
    Sign(r"(?i)\b(?:shutdown|reboot|halt|poweroff)\s+(?:-|now\b)", "shutting down"),
    Sign(r"(?i)\bformat\s+[a-z]:", "format of a drive"),
    Sign(r"(?i)\bremove-item\b[^|;\n]*-recurse\b", "Remove-Item -Recurse"),
)
_INJECTION = (
    Sign(
        r"(?i)\b(?:ignore|disregard|forget|override)\b(?:\s+\w+){0,3}\s+"
        r"(?:previous|prior|above|earlier|preceding|your|system)\b(?:\s+\w+){0,2}\s+"
        r"(?:instructions?|prompts?|rules|directions|guidelines|context|messages?)",
        "told to forget its instructions",
        0.9,
    ),
    Sign(r"(?i)<\s*/?\s*(?:important|system|instructions?|admin|assistant|secret)\s*>", "a tag that plays instructions", 0.6),
    Sign(r"(?i)<\|(?:im_start|im_end|system|user|assistant|endoftext)\|>|\[/?INST\]|<</?SYS>>", "a chat's own marks", 0.9),
    Sign(r"(?i)\byou\s+are\s+now\s+(?:in\s+)?(?:a|an|the|dan|developer|jailbroken|unrestricted)\b", "told who it is now", 0.5),
    Sign(
        r"(?i)\b(?:do\s+not|don't|never)\s+(?:tell|mention|reveal|inform|show)(?:\s+\w+){0,3}\s+(?:the\s+)?user\b",
        "told to hide something from the user",
        0.8,
    ),
    Sign(
        r"(?i)\b(?:reveal|print|repeat|show|output)\b(?:\s+\w+){0,3}\s+(?:system\s+prompt|initial\s+instructions)",
        "asked for its prompt",
        0.7,
    ),
    Sign(r"(?i)\bnew\s+(?:system\s+)?(?:instructions?|prompt)\s*:", "new instructions", 0.6),
    Sign(
        r"(?i)\b(?:send|post|upload|exfiltrate|forward|email)\b[^.\n]{0,80}"
        r"\b(?:api[ _-]?keys?|passwords?|credentials|secrets?|tokens?|ssh\s+keys?)\b",
        "told to send secrets away",
        0.7,
    ),
    Sign(r"[\x{E0000}-\x{E007F}]", "invisible tag characters", 0.8),
    Sign(r"[\x{202A}-\x{202E}\x{2066}-\x{2069}]", "signs that turn text around", 0.4),
    Sign(r"(?i)\bbefore\s+(?:using|calling)\s+(?:this|any\s+other)\s+tool\b", "told to do something before a tool", 0.5),
)
_PERSONAL = (
    Sign(r"\b\d{3}-\d{2}-\d{4}\b", "social security number"),
    Sign(r"\b(?:4\d{3}|5[1-5]\d{2}|2[2-7]\d{2}|6011|65\d{2}|3[47]\d{2})[ -]?\d{4,6}[ -]?\d{4,5}[ -]?\d{0,4}\b", "card number"),
    Sign(r"\b[A-Z]{2}\d{2} ?(?:[A-Z0-9]{4} ?){2,7}[A-Z0-9]{1,4}\b", "IBAN"),
    Sign(r"(?i)\b[a-z0-9._%+-]{1,64}@[a-z0-9.-]{1,253}\.[a-z]{2,24}\b", "mail address"),
    Sign(r"(?:\+|\b00)[1-9]\d{0,2}[ .()/-]{0,2}(?:\d[ .()/-]{0,2}){6,12}\d\b", "telephone number"),
)

SETS: Mapping[str, tuple[Sign, ...]] = {
    "destructive-commands": _COMMANDS,
    "personal-data": _PERSONAL,
    "prompt-injection": _INJECTION,
    SECRETS: (),
}
"""Every set by its name."""
