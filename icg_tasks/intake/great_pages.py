"""Great Expectations' pages made to stand alone: no font, style, script or picture comes from the network.

Their style sheets and scripts are on other people's servers; what these pages use of them is said again here in a few lines.
Knows HTML as Great Expectations 1.24 writes it; no data set.
"""

import re
from collections.abc import Sequence

_REMOTE = (
    re.compile(r'<link\b[^>]*href="(?:https?:)?//[^"]*"[^>]*>'),
    re.compile(r"<script\b[^>]*>.*?</script>", re.DOTALL),
    re.compile(r'<img\b[^>]*src="(?:https?:)?//[^"]*"[^>]*/?>'),
    re.compile(r"[\w-]+:\s*url\(['\"]?(?:https?:)?//[^)]*\)[^;}]*;?"),
    re.compile(r"@import[^;]*;"),
)
_FAVICON = re.compile(r'href="[./]*static/images/favicon\.ico"')
_STYLE = """
*{box-sizing:border-box}
body{margin:0;font:15px/1.5 system-ui,sans-serif;color:#222;background:#fff}
a{color:#0b57a4;text-decoration:none}a:hover{text-decoration:underline}
nav.navbar{height:auto!important;padding:.4rem 1.2rem}
ol.breadcrumb,ul.nav,ul.pages{list-style:none;margin:0;padding:0}
ol.breadcrumb{display:flex;gap:.6rem;font-size:13px}ol.breadcrumb li+li::before{content:"/ "}
ul.pages{padding:1rem 1.2rem 0}
.container,.container-fluid{width:100%;padding:0 1rem}
.row{display:flex;flex-wrap:wrap}.row>div{flex:1 1 100%;min-width:0}
@media(min-width:900px){.row>.col-md-2{flex:0 0 17%}.row>.col-md-10{flex:0 0 83%;padding-left:1.5rem}}
.sticky{top:1rem!important}
.card{border:1px solid #ddd;border-radius:6px;margin-bottom:1rem}
.card-header{background:#f5f5f5;padding:.5rem;border-bottom:1px solid #ddd}.card-body{padding:.5rem}
.btn{display:inline-block;padding:.2rem .6rem;border:1px solid;border-radius:4px;color:#0b57a4;cursor:pointer;font-size:13px}
.btn input{display:none}
.nav-link{display:block;padding:.15rem .3rem;font-size:13px}
.table{border-collapse:collapse;width:100%;margin-bottom:.8rem;font-size:14px}
.table td,.table th{border-top:1px solid #e3e3e3;padding:.35rem .5rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}
.alert{background:#eef1f4;padding:.5rem .8rem;border-radius:4px;margin:.8rem 0 .4rem}
.badge{background:#6c757d;color:#fff;border-radius:4px;padding:.05rem .4rem;font-size:12px}
.text-success{color:#17803d}.text-danger{color:#b3261e}.text-warning{color:#8a5a00}
.fa-check-circle::before{content:"\\2714"}.fa-times::before,.fa-times-circle::before{content:"\\2716"}
.fa-exclamation-triangle::before{content:"\\26A0"}
.fas,.fa{font-style:normal;font-weight:700}
footer,.modal{display:none!important}
@media(prefers-color-scheme:dark){body{background:#16181b;color:#e6e6e6}a{color:#7ab8ff}.card-header,.alert{background:#23272b}
.card,.table td,.table th{border-color:#3a3f44}}
"""
_SCRIPT = """
function showAllValidations(){document.querySelectorAll("tr").forEach(row=>{row.hidden=false})}
function hideSucceededValidations(){document.querySelectorAll("tr").forEach(row=>{
if(row.querySelector(".fa-check-circle"))row.hidden=true})}
"""


def standing_alone(name: str, text: str, names: Sequence[str]) -> str:
    """A page whose links work without a server or a network.

    The index names its pages outright (its own table needs scripts from elsewhere); the icon's path fits the page's depth.
    ``name``: the page's path below the docs; ``names``: of all files kept.
    """
    for pattern in _REMOTE:
        text = pattern.sub("", text)
    text = _FAVICON.sub(f'href="{"../" * name.count("/")}static/images/favicon.ico"', text)
    text = text.replace("</head>", f"<style>{_STYLE}</style><script>{_SCRIPT}</script></head>", 1)
    if name != "index.html":
        return text
    links = "".join(f'<li><a href="{page}">{page}</a></li>' for page in names if page.endswith(".html") and page != name)
    return text.replace("<body>", f'<body><ul class="pages">{links}</ul>', 1)
