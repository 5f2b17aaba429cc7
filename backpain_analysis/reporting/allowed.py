"""The elements and attributes that a fragment of a page may have; all others are taken out.

Of HTML, SVG and MathML: what shows something, and nothing that fetches, runs, moves or asks.
"""

from __future__ import annotations

HTML_TAGS = """
a abbr address article aside b bdi bdo blockquote br caption cite code col colgroup dd del details
dfn div dl dt em figcaption figure footer h1 h2 h3 h4 h5 h6 header hgroup hr i img ins kbd li mark
ol p pre q rp rt ruby s samp section small span strong style sub summary sup table tbody td tfoot
th thead time tr u ul var wbr
"""
SVG_TAGS = """
svg circle clipPath defs desc ellipse filter feBlend feColorMatrix feComposite feFlood
feGaussianBlur feMerge feMergeNode feOffset g image line linearGradient marker mask path pattern
polygon polyline radialGradient rect stop switch symbol text textPath title tspan use
"""
MATHML_TAGS = """
math annotation maction menclose merror mfrac mi mmultiscripts mn mo mover mpadded mphantom
mprescripts mroot mrow ms mspace msqrt mstyle msub msubsup msup mtable mtd mtext mtr munder
munderover none semantics
"""
TAGS = {*HTML_TAGS.split(), *SVG_TAGS.split(), *MATHML_TAGS.split()}

REMOVED_WITH_CONTENT = {
    *("script", "iframe", "frame", "frameset", "object", "embed", "applet", "portal", "noscript"),
    *("form", "button", "textarea", "select", "option", "audio", "video", "template", "canvas"),
    *("foreignObject", "animate", "set", "handler", "metadata", "xmp", "noembed", "noframes"),
}

HTML_ATTRIBUTES = """
abbr align alt axis border cellpadding cellspacing char cite class colspan datetime dir disabled
headers height hidden href hreflang id lang loading open reversed role rowspan scope span src
start style tabindex title translate type valign value width
"""
SVG_ATTRIBUTES = """
alignment-baseline baseline-shift clip clip-path clip-rule clipPathUnits color color-interpolation
cx cy d direction display dominant-baseline dx dy fill fill-opacity fill-rule filter filterUnits
flood-color flood-opacity focusable font-family font-size font-style font-variant font-weight fx
fy gradientTransform gradientUnits in in2 k1 k2 k3 k4 letter-spacing marker-end marker-mid
marker-start markerHeight markerUnits markerWidth mask maskContentUnits maskUnits mode offset
opacity operator orient overflow patternContentUnits patternTransform patternUnits points
preserveAspectRatio primitiveUnits r refX refY result rotate rx ry shape-rendering spreadMethod
startOffset stdDeviation stop-color stop-opacity stroke stroke-dasharray stroke-dashoffset
stroke-linecap stroke-linejoin stroke-miterlimit stroke-opacity stroke-width text-anchor
text-decoration text-rendering textLength transform values vector-effect version viewBox
visibility word-spacing x x1 x2 xmlns y y1 y2
"""
MATHML_ATTRIBUTES = """
accent accentunder columnalign columnlines columnspacing depth displaystyle encoding fence frame
largeop linethickness lspace mathbackground mathcolor mathsize mathvariant maxsize minsize
movablelimits notation rowalign rowlines rowspacing rspace scriptlevel separator stretchy
symmetric voffset
"""
ATTRIBUTES = {*HTML_ATTRIBUTES.split(), *SVG_ATTRIBUTES.split(), *MATHML_ATTRIBUTES.split()}
