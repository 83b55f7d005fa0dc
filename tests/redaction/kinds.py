"""What is a credential of each kind, and what only looks like one: the table that the redactor is held by.

A true example is a text with the part that must not be left of it. A false one is a near miss and stays as it is, to the letter.
Every credential is put together when this is imported, from random letters of a fixed seed: none stands in this file, so no
scanner of secrets takes the file for a leak.
"""

from __future__ import annotations

import base64
import json
import string
from dataclasses import dataclass
from random import Random

_random = Random(20_26)


def letters(count: int, of: str = string.ascii_letters + string.digits) -> str:
    """Random letters, with a digit among the first: as keys are."""
    return "7" + "".join(_random.choices(of, k=count - 1))


def hexes(count: int) -> str:
    """Random hexadecimal digits."""
    return letters(count, "0123456789abcdef")


def capitals(count: int) -> str:
    """Random capitals and digits."""
    return letters(count, string.ascii_uppercase + string.digits)


def b64(text: str) -> str:
    """A text in base64."""
    return base64.b64encode(text.encode()).decode()


@dataclass(frozen=True, slots=True)
class Examples:
    """One kind: texts with the part that is a secret, and texts that stay."""

    true: tuple[tuple[str, str], ...]
    false: tuple[str, ...]


def _tokens(*tokens: str) -> tuple[tuple[str, str], ...]:
    """Each token where tokens are met: in a log line, a header of no telling name, JSON, a URL's path, alone."""
    around = ("{}", "2026-11-23 INFO sent {} to the peer", '{{"note": "{}"}}', "x-note: {}", "https://a.test/v1/{}/x", "[{}]")
    return tuple((around[at % len(around)].format(token), token) for at, token in enumerate(tokens))


def _starting(prefix: str, count: int, of: str = string.ascii_letters + string.digits) -> tuple[tuple[str, str], ...]:
    return _tokens(*(prefix + letters(count + more, of) for more in (0, 0, 0, 0)))


def _jwt(claims: str = '{"sub":"1"}') -> str:
    head, body = (b64(text).rstrip("=") for text in ('{"alg":"HS256"}', claims))
    return f"{head}.{body}.{letters(43)}"


def _pem(kind: str = "RSA PRIVATE KEY", lines: int = 3) -> str:
    body = "\n".join(letters(64) for _ in range(lines))
    return f"-----BEGIN {kind}-----\n{body}\n-----END {kind}-----"


def _middle(pem: str) -> str:
    return pem.split("\n")[2][:40]


def _keys() -> tuple[tuple[str, str], ...]:
    pems = [_pem(), _pem("OPENSSH PRIVATE KEY"), _pem("EC PRIVATE KEY"), _pem("PRIVATE KEY"), _pem("PGP PRIVATE KEY BLOCK")]
    found = [(f"before\n{pem}\nafter", _middle(pem)) for pem in pems]
    found += [(json.dumps({"k": pem}), _middle(pem)) for pem in pems[:1]]
    found += [("k=" + pem.replace("\n", "\\n"), _middle(pem)) for pem in pems[1:2]]
    found += [(json.dumps({"log": json.dumps({"k": pem})}), _middle(pem)) for pem in pems[2:3]]
    found += [(pem[:-60], _middle(pem)) for pem in pems[:1]]  # its end is cut off
    found += [("...\n" + pem[60:], _middle(pem)) for pem in pems[:2]]  # its beginning
    putty = "PuTTY-User-Key-" + f"File-3: ssh-ed25519\nPrivate-Lines: 1\n{letters(64)}\nPrivate-MAC: {hexes(64)}"
    age = "AGE-SECRET-KEY-" + "1" + capitals(58)
    return (*found, (putty, putty.split("\n")[2]), (f"# age\n{age}", age))


_IMAGE = base64.b64encode(bytes(Random(1).randbytes(4096))).decode()
_SHA1, _SHA256, _UUID = hexes(40), hexes(64), "8f14e45f-ceea-467f-9575-0b1c2d3e4f50"

HARMLESS = (
    f"commit {_SHA1}",
    f"sha256:{_SHA256}",
    f"request {_UUID} took 12 ms",
    f"data:image/png;base64,{_IMAGE}",
    f"integrity sha512-{base64.b64encode(Random(2).randbytes(64)).decode()}",
    "/srv/data/2024/report-final-version.csv",
    "https://example.com:8443/path?q=1&page=2#top",
    "user@example.com wrote key: value",
    "d41d8cd98f00b204e9800998ecf8427e",
    "100% of 3/4, at 12:30 @home",
    "eyJ is how it begins",
    "the keyboard's key caps: blue",
    "ls --color --sort time | head",
    "0x7fffdeadbeef1234 in thread_start",
    "2026-11-23T01:02:03.123456Z",
    "org.apache.commons.lang3.StringUtils.isNotBlank",
    r"C:\Users\x41\unit\update",
    "Passwörter ändern sich, Schlüssel auch",
    "秘密は書かない: 鍵",
)
"""What no kind finds."""

_PASSWORDS = tuple(
    (text, secret)
    for text, secret in (
        ("login --password hunter2 now", "hunter2"),
        ("login --password=hunter2 now", "hunter2"),
        ('DB_PASSWORD="two words"', "words"),
        (r'{"broken": "\"password\": \"hunter2\"', "hunter2"),
        (r'"password": "a\"b-hunter2"', "hunter2"),
        (json.dumps({"a": json.dumps({"b": json.dumps({"password": "hunter2"})})}), "hunter2"),
        ("passphrase: correct horse battery", "battery"),
        ("password: it's hunter2", "hunter2"),
        ("https://example.com/x?a=1&token=hunter2&b=2", "hunter2"),
        ('cmd="export TOKEN=hunter2"', "hunter2"),
        ('password := "hunter2"', "hunter2"),
        ("'password' => 'hunter2',", "hunter2"),
        ('if password == "hunter2":', "hunter2"),
        ('password: str = "hunter2"', "hunter2"),
        ("token: Optional[str] = 'hunter2'", "hunter2"),
        ("<password>hunter2</password>", "hunter2"),
        ("<db:password>hunter2</db:password>", "hunter2"),
        ("ALTER ROLE app WITH PASSWORD 'hunter2'", "hunter2"),
        ("password: |\n  hunter2\n  hunter3\nnext: 1", "hunter3"),
        ("Server=db;Password=hunter2;Encrypt=yes", "hunter2"),
        ("DefaultEndpointsProtocol=https;AccountKey=hunter2;x", "hunter2"),
        ("Set-Cookie: a=first; b=hunter2", "hunter2"),
        ("Authorization: Digest username=x, response=hunter2", "hunter2"),
        ("https://example.com/x?sv=1&sig=hunter2%3D", "hunter2"),
        ("https://example.com/x?X-Amz-Signature=0123abc", "0123abc"),
        ("password=$2b$12$abcdefghij", "abcdefghij"),
        ("token: nextcloud-hunter2", "hunter2"),
        ("password=stringent", "stringent"),
        ("password: 12345", "12345"),
        ("ключ, PASSWORD=пароль", "пароль"),
    )
)

_TELLING_NOTHING = (
    "password: string",
    "password: string  # the user's own",
    "  password:\n    type: string\n",
    "def login(user: str, password: str) -> None:",
    "password: str | None",
    "token: Optional[str],",
    "token: next",
    "password: null, user: bob",
    'password = os.getenv("DB_PASSWORD")',
    'api_key = os.environ["API_KEY"]',
    "const token = process.env.TOKEN",
    "password = getpass.getpass()",
    "password=password",
    "login(user=user, password=password)",
    "self.token = config.load(",
    "API_KEY=${API_KEY}",
    "token: ${{ secrets.DEPLOY }}",
    "password: {{ vault.db }}",
    "password: ********",
    "token=<your token>",
    "PASSWORD_POLICY=strict",
    "max_tokens: 4096",
    "token_count=17",
    "the secretary wrote: hello",
    "Forgot your password? Ask for a new one.",
    "a password must have eight letters, a key none",
    "tokenizer: fast",
    "secret_name: weather/key",
    "<password> is a tag",
    "keyword=value monkey=1 design: blue",
    "--keyboard us --signal TERM",
    "if a > b: pass",
)

_AWS_SECRET = letters(40, string.ascii_letters + string.digits + "/+")
_AWS_ID = "AKI" + "A" + capitals(16)
_HUNTER = b64("bob:hunter2")

KINDS: dict[str, Examples] = {
    "PRIVATE_KEY": Examples(
        _keys(),
        (
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
            "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----",
            "paste what stands below BEGIN RSA PRIVATE KEY here",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI bob@host",
            "AGE-SECRET-KEY- is how a key of age begins",
        ),
    ),
    "ANTHROPIC_API_KEY": Examples(
        (*_starting("sk-ant-api03-", 80), *_starting("sk-ant-admin01-", 80), *_starting("sk-ant-", 16)),
        ("sk-ant-", "sk-ant-short", "task-ant-7abcdefghijklmnopqrst", "risk-anticipating-methods-and-more"),
    ),
    "OPENROUTER_API_KEY": Examples(
        _starting("sk-or-v1-", 64, "0123456789abcdef"),
        ("sk-or-not", "sk-or-v1-", "ask-or-v1-tell", "risk-or-reward-of-12-months"),
    ),
    "OPENAI_API_KEY": Examples(
        (*_starting("sk-", 48), *_starting("sk-proj-", 120), *_starting("sk-svcacct-", 80), *_starting("sk-admin-", 80)),
        (
            "scikit-learn and sk-learn-is-not-a-key-at-all",
            "div.sk-container-id-12 > sk-estimator-doc-link",
            "sk-",
            "sk-12",
            "disk-1234567890abcdefghij",
            "sk-thisisnokeysinceithasnodigit",
        ),
    ),
    "AWS_ACCESS_KEY_ID": Examples(
        _tokens(*(start + "A" + capitals(16) for start in ("AKI", "ASI", "AKI", "ASI"))),
        ("AKIA", "AKIAshort", "MAKIA" + "B" * 16, "AKIA" + "B" * 17, "AKIA_" + "B" * 16),
    ),
    "AWS_SECRET_ACCESS_KEY": Examples(
        (
            (f"{_AWS_ID},{_AWS_SECRET}", _AWS_SECRET),
            (f"{_AWS_ID} {_AWS_SECRET}", _AWS_SECRET),
            (f"aws_secret_access_key = {_AWS_SECRET}", _AWS_SECRET),
            (f"| {_AWS_ID} | {_AWS_SECRET} |", _AWS_SECRET),
            (f"AWS_SECRET_ACCESS_KEY={_AWS_SECRET}", _AWS_SECRET),
        ),
        (_AWS_SECRET[:39], f"AKIB {_SHA1}", f"etag {_SHA1}", "a secret access key has forty letters"),
    ),
    "AWS_SESSION_TOKEN": Examples(
        _starting("IQoJb3Jp" + "Z2lu", 200),
        ("IQoJb3JpZ2lu", "IQoJb3JpZ2lu-x", "xIQoJb3JpZ2lu" + "A" * 90, "FwoGZXIvYXdz is how one begins"),
    ),
    "GOOGLE_API_KEY": Examples(
        _starting("AI" + "za", 35), ("AIza", "AIzaShort", "MAIza" + "b" * 35, "AIza is how one begins, then 35 letters")
    ),
    "GOOGLE_OAUTH": Examples(
        (*_starting("ya" + "29.", 60), *_starting("GOC" + "SPX-", 28)),
        ("ya29.", "ya29.short", "maya29.release.of.this.year", "GOCSPX-", "in May: ya29 days"),
    ),
    "GITHUB_TOKEN": Examples(
        tuple(one for start in "pousr" for one in _starting(f"gh{start}_", 36)[:1]) + _starting("github" + "_pat_", 60),
        ("ghp_", "ghp_short", "highp_" + "b" * 36, "ghx_" + "b" * 36, "github_pat_", "my_ghp_" + "b" * 36),
    ),
    "GITLAB_TOKEN": Examples(
        tuple(one for start in ("pat", "dt", "rt", "cbt", "ptt") for one in _starting(f"gl{start}-", 20)[:1]),
        ("glpat-", "glpat-short", "glrt-", "my-glpat-" + "b" * 20, "gloss-paint-of-many-colours"),
    ),
    "SLACK_TOKEN": Examples(
        (*(each for kind in "bpae" for each in _starting(f"xox{kind}-", 40)[:1]), *_starting("xap" + "p-1-", 60)[:1]),
        ("xoxb-", "xoxb-short", "xoxz-" + "b" * 20, "myxoxb-" + "1" * 20, "xapp-launcher-of-desktops"),
    ),
    "SLACK_WEBHOOK": Examples(
        tuple(
            (text.format(f"T{capitals(9)}/B{capitals(9)}/{(tail := letters(24))}"), tail)
            for text in (
                "https://hooks.slack.com/services/{}",
                "hooks.slack.com/services/{}",
                "x hooks.slack.com/workflows/{}",
                "<https://hooks.slack.com/triggers/{}>",
            )
        ),
        (
            "https://hooks.slack.com/",
            "https://hooks.slack.com/services/",
            "https://slack.com/services/new",
            "https://api.slack.com/messaging/webhooks#posting_with_webhooks",
        ),
    ),
    "DISCORD_WEBHOOK": Examples(
        tuple(
            (f"https://{host}/api/webhooks/{letters(18, string.digits)}/{(tail := letters(68))}", tail)
            for host in ("discord.com", "discordapp.com", "ptb.discord.com", "canary.discord.com")
        ),
        (
            "https://a.test/api/webhooks/",
            "https://a.test/api/webhooks/12",
            "POST /api/webhooks/123456789012345678/short",
            "GET /api/webhooks/list/of/all/that/there/are",
        ),
    ),
    "STRIPE_KEY": Examples(
        tuple(one for start in ("s", "r", "p") for one in _starting(f"{start}k_" + "live_", 24)[:1])
        + _starting("sk" + "_test_", 24)[:2]
        + _starting("wh" + "sec_", 32)[:1],
        ("sk_live_", "task_live_" + "b" * 24, "sk_life_" + "b" * 24, "whsec_", "pk_test_short"),
    ),
    "NPM_TOKEN": Examples(_starting("npm_", 36), ("npm_", "npm_config_cache", "pnpm_" + "b" * 36, "npm_lifecycle_event=test")),
    "PYPI_TOKEN": Examples(
        _starting("pypi-Ag" + "EIcHlwaS5vcmc", 100),
        ("pypi-", "pypi-AgE", "pypi-publish-of-all-that-we-have-built-today", "mypypi-AgE" + "b" * 40),
    ),
    "HUGGING_FACE_TOKEN": Examples(
        (*_starting("hf_", 34), *_starting("api_" + "org_", 34)),
        ("hf_", "hf_hub_download", "shf_" + "b" * 34, "api_org_name", "hf_transfer_enabled_by_default"),
    ),
    "SENDGRID_API_KEY": Examples(
        _tokens(*("SG" + f".{letters(22)}.{letters(43)}" for _ in range(4))),
        ("SG.", "SG.short.one", "MSG." + "b" * 22 + "." + "c" * 43, "SG. is how one begins"),
    ),
    "TWILIO_API_KEY": Examples(
        _tokens(*("S" + "K" + hexes(32) for _ in range(4))),
        ("SK", "SKIP", "TASK" + "a" * 32, "SK" + "a" * 31, "SK" + "a" * 33),
    ),
    "AZURE_KEY": Examples(
        _tokens(
            *(letters(76) + "+AS" + "t" + letters(6) + "==" for _ in range(2)),
            *(letters(3) + "8Q" + "~" + letters(34) for _ in "ab"),
        ),
        (
            "a+ASt",
            letters(76) + "+ASx" + letters(6) + "==",
            "8Q~",
            "FAQ~of-this-page-and-of-others-that-are-longer",
            "what Q~ means",
        ),
    ),
    "DIGITALOCEAN_TOKEN": Examples(
        tuple(one for start in "por" for one in _starting(f"do{start}_v1_", 64, "0123456789abcdef")[:1])
        + _starting("dop_" + "v1_", 64, "0123456789abcdef")[:1],
        ("dop_v1_", "dop_v1_short", "dop_v2_" + "a" * 64, "adop_v1_" + "a" * 64),
    ),
    "DOCKER_TOKEN": Examples(
        (*_starting("dckr_" + "pat_", 27), *_starting("dckr_" + "oat_", 32)),
        ("dckr_pat_", "dckr_pat_short", "dckr_" + "b" * 30, "my-dckr_pat_" + "b" * 27),
    ),
    "DATABRICKS_TOKEN": Examples(
        _starting("da" + "pi", 32, "0123456789abcdef"), ("dapi", "dapi" + "a" * 31, "dapi" + "a" * 33, "adapi" + "a" * 32)
    ),
    "SHOPIFY_TOKEN": Examples(
        tuple(one for start in ("at", "ca", "pa", "ss") for one in _starting(f"shp{start}_", 32, "0123456789abcdef")[:1]),
        ("shpat_", "shpat_short", "shpxx_" + "a" * 32, "my_shpat_" + "a" * 32),
    ),
    "TELEGRAM_BOT_TOKEN": Examples(
        tuple(
            (text.format(f"{letters(10, string.digits)}:A{(tail := 'A' + letters(33))}"), tail)
            for text in ("{}", "bot {} starts", "https://api.telegram.org/bot{}/getMe", "[{}]")
        ),
        ("12345678:AA", "1234:AA" + "b" * 33, "12345678:AB" + "b" * 33, "12345678:AA" + "b" * 34),
    ),
    "MAILGUN_API_KEY": Examples(
        _starting("key" + "-", 32, "0123456789abcdef"), ("key-", "key-value", "monkey-" + "a" * 32, "key-" + "a" * 33)
    ),
    "GRAFANA_TOKEN": Examples(
        _tokens(*("glsa" + f"_{letters(32)}_{hexes(8)}" for _ in range(3)), "glc" + "_" + b64(json.dumps({"o": letters(30)}))),
        ("glsa_", "glsa_short_one", "glc_", "eglsa_" + "b" * 32 + "_" + "a" * 8),
    ),
    "VAULT_TOKEN": Examples(
        (*_starting("hv" + "s.", 90), *_starting("hv" + "b.", 120)), ("hvs.", "hvs.short", "hvx." + "b" * 30, "ahvs." + "b" * 30)
    ),
    "TERRAFORM_TOKEN": Examples(
        _tokens(*(letters(14) + ".atlas" + "v1." + letters(67) for _ in range(4))),
        (".atlasv1.", "abc.atlasv1.short", letters(14) + ".atlasv2." + letters(10), "see the .atlasv1. part"),
    ),
    "NOTION_TOKEN": Examples(_starting("nt" + "n_", 46), ("ntn_", "ntn_short", "antn_" + "b" * 46, "my-ntn_" + "b" * 46)),
    "LINEAR_API_KEY": Examples(
        _starting("lin_" + "api_", 40), ("lin_api_", "lin_api_short", "lin_ape_" + "b" * 40, "colin_api_" + "b" * 40)
    ),
    "ATLASSIAN_TOKEN": Examples(
        _starting("ATA" + "TT3", 180), ("ATATT3", "ATATT3short", "BATATT3" + "b" * 180, "ATATT2" + "b" * 180)
    ),
    "SENTRY_TOKEN": Examples(
        (*_starting("sntry" + "s_", 80), *_starting("sntry" + "u_", 64)),
        ("sntrys_", "sntryu_short", "sntryx_" + "b" * 64, "asntrys_" + "b" * 64),
    ),
    "GROQ_API_KEY": Examples(_starting("gs" + "k_", 52), ("gsk_", "gsk_short", "rgsk_" + "b" * 52, "a-gsk_" + "b" * 52)),
    "XAI_API_KEY": Examples(_starting("xa" + "i-", 80), ("xai-", "xai-org", "axai-" + "b" * 80, "xai-grok-of-this-year")),
    "REPLICATE_TOKEN": Examples(_starting("r" + "8_", 37), ("r8_", "r8_short", "for8_" + "b" * 37, "a-r8_" + "b" * 37)),
    "JWT": Examples(
        _tokens(_jwt(), _jwt('{"sub":"2","aud":"x"}'), _jwt("{}"), _jwt().rsplit(".", 1)[0] + "."),
        ("eyJ", "eyJ.a.b", "1.2.3-eyJhbGciOiJIUzI1NiJ9", "v10.20.30.eyJhbGci", "eyJhbGciOiJIUzI1NiJ9"),
    ),
    "BEARER_TOKEN": Examples(
        tuple(
            (text.format(token := letters(20)), token) for text in ("Bearer {}", "X: bearer {}", "got BEARER  {}", "[bearer\t{}]")
        ),
        ("bearer certificates", "bearer of news", "a forbearer 123456789", "Bearer", "Bearer realm"),
    ),
    "BASIC_CREDENTIAL": Examples(
        tuple((text.format(_HUNTER), _HUNTER) for text in ("Basic {}", "sent basic {}", "BASIC  {}", "(Basic\t{})")),
        ("Basic knowledge of arithmetic", "BASIC 10 PRINT", "basic understanding", "Visual Basic applications"),
    ),
    "URL_PASSWORD": Examples(
        (
            ("postgres://app:hunter2@db/x", "hunter2"),
            ("https://:hunter2@a.test/", "hunter2"),
            ("redis://default:p@ss-hunter2@cache:6379/0", "hunter2"),
            (f"https://{(token := letters(24))}@example.com/x.git", token),
            ("ask app:hunter2@db.example:5432 for it", "hunter2"),
        ),
        (
            "mailto:somebody@example.com",
            "ssh://git@example.com/x.git",
            "from:somebody@example.com to:bob@example.com",
            "https://example.com/@user:name",
            "https://example.com:8443/a@b",
            "at 12:30 @home, 12:30@home",
        ),
    ),
    "ASSIGNMENT": Examples(_PASSWORDS, _TELLING_NOTHING),
}
"""Every kind by its name. `ASSIGNMENT` stands for those whose name is the telling name."""
