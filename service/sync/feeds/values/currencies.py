"""Currencies in feeds: ISO 4217 codes, symbols and everyday names.

A symbol that several currencies share stands for one of them only if CLDR's English data says so (`$` is USD, `£` GBP,
`¥` JPY). `kr` marks a price without determining its currency.
"""

from __future__ import annotations

AMBIGUOUS = ""
_CODES = """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP
    CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HRK HTG HUF
    IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK
    MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR
    SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS
    VED VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWL
"""
_WRITTEN = {
    "EUR": "€ euro euros eur.", "USD": "$ us$ us-$ $us u$s usd$", "GBP": "£ ￡ gb£", "JPY": "¥ ￥ 円 jp¥",
    "CNY": "元 rmb cn¥ 人民币",
    "AUD": "a$ au$ aud$", "CAD": "c$ ca$ cad$ can$ $ca", "NZD": "nz$", "HKD": "hk$", "SGD": "s$ sg$", "TWD": "nt$",
    "MXN": "mx$ mex$", "BRL": "r$", "CLP": "clp$", "COP": "col$", "ARS": "ar$", "UYU": "$u", "CHF": "fr. sfr. sfr fr.-",
    "INR": "₹ rs rs. ₨ inr.", "RUB": "₽ руб руб. р.", "UAH": "₴ грн грн.", "KZT": "₸ тг", "TRY": "₺ tl",
    "KRW": "₩ ￦ 원",
    "ILS": "₪ nis", "THB": "฿ บาท", "VND": "₫ đ", "PHP": "₱", "NGN": "₦", "GHS": "gh₵ ₵", "AZN": "₼", "GEL": "₾ ლარი",
    "AMD": "֏", "MNT": "₮", "CRC": "₡", "PYG": "₲", "LAK": "₭", "KHR": "៛", "PLN": "zł zl", "CZK": "kč kc", "HUF": "ft",
    "RON": "lei leu", "BGN": "лв лв.", "RSD": "din din. дин", "MKD": "ден", "BAM": "km", "ISK": "íkr", "DKK": "dkr",
    "ZAR": "r",
    "MYR": "rm", "IDR": "rp rp.", "KES": "ksh", "AED": "د.إ درهم dhs", "SAR": "ر.س ريال ﷼", "EGP": "ج.م e£",
    "KWD": "د.ك",
    "BHD": "د.ب", "OMR": "ر.ع.", "QAR": "ر.ق", "JOD": "د.ا", "MAD": "د.م. dh", "TND": "د.ت dt", "IRR": "تومان",
    "PEN": "s/ s/.", "BDT": "৳ tk taka", "AFN": "؋", "UZS": "сум soʻm",
    AMBIGUOUS: "kr kr.",
}  # fmt: skip
_THREE_DECIMALS = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})

CODES = frozenset(_CODES.split())
# Maps spellings in lower case to codes; empty if ambiguous.
CURRENCIES = {c.lower(): c for c in CODES} | {w: c for c, words in _WRITTEN.items() for w in words.split()}
# Currencies for which a bare symbol may stand in its own country: `$` beside `CAD` is not a contradiction.
SHARED = {
    "$": frozenset(
        [
            "USD",
            "AUD",
            "CAD",
            "NZD",
            "HKD",
            "SGD",
            "TWD",
            "MXN",
            "CLP",
            "COP",
            "ARS",
            "UYU",
            "BSD",
            "BBD",
            "BZD",
            "FJD",
            "JMD",
            "TTD",
            "NAD",
            "XCD",
            "DOP",
        ]
    ),
    "£": frozenset(["GBP", "EGP", "LBP", "GIP", "FKP", "SHP"]),
    "¥": frozenset(["JPY", "CNY"]),
    "￥": frozenset(["JPY", "CNY"]),
    "元": frozenset(["CNY", "TWD", "HKD"]),
    "kr": frozenset(["SEK", "NOK", "DKK", "ISK", "CZK"]),
    "kr.": frozenset(["SEK", "NOK", "DKK", "ISK"]),
    "rs": frozenset(["INR", "PKR", "LKR", "NPR", "MUR"]),
    "rs.": frozenset(["INR", "PKR", "LKR", "NPR", "MUR"]),
    "₨": frozenset(["INR", "PKR", "LKR", "NPR", "MUR", "SCR"]),
    "lei": frozenset(["RON", "MDL"]),
}


def decimals(code: str) -> int:
    """The number of decimals in prices of a currency, to tell a thousands separator from a decimal separator."""
    return 3 if code in _THREE_DECIMALS else 2


def agreed(first: str, second: str) -> str | None:
    """The code that two spellings mean together (either may be empty); None if they contradict each other."""
    codes = [CURRENCIES[w] for w in (first, second) if w]
    if len(codes) < 2:
        return codes[0] if codes else ""
    if codes[0] == codes[1]:
        return codes[0]
    for shared, other in ((first, codes[1]), (second, codes[0])):
        if other in SHARED.get(shared, ()):
            return other
    return None
