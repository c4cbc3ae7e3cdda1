"""Which sign a locale puts before the decimals: what tells 1.234 from 1,234 where the text alone does not.

The table is CLDR's; a test compares it with Babel's copy of CLDR.
"""

import re
from typing import Literal, TypeAlias

DecimalMark: TypeAlias = Literal[".", ","]

_TAG = re.compile(
    r"(?P<language>[a-z]{2,3})(?:[-_](?P<script>[A-Z][a-z]{3}))?(?:[-_](?P<region>[A-Z]{2}|[0-9]{3}))?", re.ASCII
)


def _tags(text: str) -> frozenset[str]:
    return frozenset(text.split())


_COMMA = _tags(
    "ady af agq ast az ba bas be bg blo br bs bua ca cs cv da de dsb dua dyo el eo es et eu ewo ff fi fo fr fy gl hr "
    "hsb ht hu hy ia id ie is it jgo jv ka kab kbd kea kgp kk kkj kl ksf ku ky lb lij lld ln lo lt lu lv mgh mk mua "
    "nb nl nmg nn nnh no nr pl pms ps pt rm rn ro ru rw sah sc scn se seh sg shi sk sl smn sq sr ss su sv tg tk tok "
    "tr ts tt tzm uk uz ve vec vi wo yav yrl zgh"
)
_POINT = _tags(
    "aa ab ak am an ann apc ar arn ary as asa bal bem bew bez bgc bgn bho blt bm bn bo bqi brh brx bss byn cad cch "
    "ccp ce ceb cgg cho chr cic ckb co cop csw cu cy dav dje doi dv dz ebu ee en fa fil frr fur ga gaa gd gez gn gsw "
    "gu guz gv ha haw he hi hnj hrx ig ii io isv iu ja jbo jmc kaa kaj kam kcg kde kek ken khq ki kln km kn ko kok "
    "kpe ks ksb ksh kw kxv la lag lg lkt lmo lrc ltg luo luy lzz mai mas mdf mer mfe mg mgo mhn mi mic ml mn mni moh "
    "mr mrh ms mt mus mww my myv mzn naq nd nds ne nqo nso nus nv ny nyn oc oka om or os osa pa pap pcm pi pis prg qu "
    "quc raj rhg rif rof rwk sa saq sat sbp sd sdh ses sgs shn si sid skr sma smj sms sn so ssy st sus suz sw syr szl "
    "ta te teo th ti tig tn to tpi trv trw twq tyv ug ur vai vmw vo vun wa wae wal wbp xdq xh xnr xog yi yo yue za zh "
    "zu"
)
# Where a region or a script differs from its language.
_COMMA_PARTS = _tags(
    "ar_DZ ar_LB ar_LY ar_MA ar_MR ar_TN en_AT en_BE en_CZ en_DE en_DK en_EE en_ES en_FI en_FR en_GE en_HU en_ID "
    "en_IT en_LT en_LV en_NL en_NO en_PL en_PT en_RO en_SE en_SI en_SK en_UA en_ZA ms_BN ms_ID qu_BO sw_CD"
)
_POINT_PARTS = _tags(
    "az_Arab az_Cyrl de_CH de_LI es_419 es_BR es_BZ es_CU es_DO es_GT es_HN es_MX es_NI es_PA es_PE es_PR es_SV es_US "
    "ff_Adlm fr_RW it_CH kk_Arab ku_Arab"
)


def decimal_mark(tag: str) -> DecimalMark | None:
    """Return the sign before the decimals in a locale such as `de`, `de-CH` or `pt_BR`; None if CLDR has no such one.

    A region that CLDR does not list follows its language.
    """
    found = _TAG.fullmatch(tag)
    if found is None or found["language"] not in _COMMA | _POINT:
        return None
    parts = {f"{found['language']}_{part}" for part in (found["script"], found["region"]) if part}
    if parts & _COMMA_PARTS:
        return ","
    if parts & _POINT_PARTS:
        return "."
    return "," if found["language"] in _COMMA else "."
