"""Fragments that a page must not take as they are."""

from __future__ import annotations

FETCHING = [
    '<img src="https://example.org/x.png">',
    '<svg><image href="https://example.org/x.png"/></svg>',
    '<svg><use xlink:href="https://example.org/x.svg#a"/></svg>',
    '<svg><rect style="fill:url(//example.org/x.svg)" fill="url(https://example.org/x.svg#a)"/></svg>',
    '<p style="background:URL( https://example.org/x )">x</p>',
    "<style>@import 'https://example.org/x.css'; p { src: url(//example.org/f) }</style>",
    '<form action="https://example.org"><input name=a></form>',
    '<video src="https://example.org/x.mp4" poster="https://example.org/y.png"></video>',
    '<meta http-equiv="refresh" content="0;url=https://example.org">',
    '<base href="https://example.org"><img src="x.png">',
    '<link rel="stylesheet" href="https://example.org/x.css">',
    '<p style="background:uuuurl(a)rl(b)rl(c)rl(https://example.org/x)">x</p>',
    "<style>p{x:@im@im@import;port;port;background:uuuurl(a)rl(b)rl(c)rl(//example.org/x)}</style>",
    '<object data="https://example.org/x"></object><embed src="https://example.org/x">',
]
RUNNING = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '<svg onload="alert(1)"></svg>',
    '<svg><foreignObject><iframe srcdoc="<script>alert(1)</script>"></iframe></svg>',
    '<a href="java&#115;cript:alert(1)">x</a>',
    '<a href=" javascript:alert(1)">x</a>',
    "<details open ontoggle=alert(1)>x</details>",
]
CONFUSING = [
    "<style><!--</style><img title='--></style><img src=x onerror=alert(1)>'>",
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=x '
    'onerror=alert(1)&gt;">',
    '<svg></p><style><a id="</style><img src=x onerror=alert(1)>">',
    "<svg><animate attributeName=href values=javascript:alert(1) /><set onbegin=alert(1) /></svg>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<textarea><p title='</textarea><img src=x onerror=alert(1)>'></textarea>",
    r'<p style="background:u\72l(https://example.org/x)">x</p>',
    '<svg><desc><p title="</desc></svg><img src=x onerror=alert(1)>"></desc></svg>',
]
FORMULAE = [
    r"$\text{<meta http-equiv=refresh content=0;url=https://example.org>}$",
    r"\text{<img src=x onerror=alert(1)>}",
    r"$$\href{javascript:alert(1)}{x}$$",
    r"$x</math><script>alert(1)</script>$",
    r"\unicode{<svg onload=alert(1)>}",
    r"$\mbox{</annotation><iframe srcdoc=x>}$",
]
PICTURES = [
    'AAAA" onerror="alert(1)',
    'AAAA"><meta http-equiv="refresh" content="0;url=https://example.org">',
    "PHN2Zz48c2NyaXB0PmFsZXJ0KDEpPC9zY3JpcHQ+PC9zdmc+",
    "not base64",
    "",
]
LINKS = [
    *("javascript:alert(1)", "//example.org/x.html", "vbscript:x", "data:text/html,x"),
    *("file:///etc/passwd.html", "ftp://example.org/x.html", "blob:x.html", "\tjavascript:x.html"),
]
