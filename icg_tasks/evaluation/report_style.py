"""The report's style sheet: one column of text, wide pictures, light and dark, no fonts or files from elsewhere."""

from typing import Final

STYLE: Final = """
:root { --paper:#faf7f1; --card:#fffdf9; --ink:#26221c; --soft:#6f675b; --line:#e4dccd; --accent:#b8431f; --quiet:#8d8270;
  --edge:#8d8270;   --good:#2f7d4f; --warn:#a8611a; --shadow:0 1px 2px rgba(60,40,10,.06),0 6px 20px rgba(60,40,10,.06); }
@media (prefers-color-scheme: dark) { :root { --paper:#15141a; --card:#1e1c24; --ink:#ece7df; --soft:#a49c92; --line:#35313c;
  --accent:#ff8a5c; --quiet:#8a8392; --edge:#8a8392; --good:#6fce96; --warn:#e7ab5e; --shadow:0 1px 2px rgba(0,0,0,.4); } }
* { box-sizing:border-box; } html { -webkit-text-size-adjust:100%; }
body { margin:0; background:var(--paper); color:var(--ink); font:16px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif; }
header.top,main,body>footer { max-width:1120px; margin:0 auto; padding-inline:28px; } header.top { padding-top:56px; }
main:focus,[tabindex="-1"]:focus { outline:none; } body>footer { padding-bottom:64px; }
:focus-visible { outline:3px solid var(--accent); outline-offset:3px; border-radius:4px; }
.skip { position:absolute; left:16px; top:-80px; padding:10px 16px; background:var(--card); border:1px solid var(--accent);
  border-radius:0 0 9px 9px; z-index:2; } .skip:focus { top:0; }
.hidden { position:absolute; width:1px; height:1px; overflow:hidden; clip-path:inset(50%); white-space:nowrap; }
h1,h2,h3 { font-family:"Iowan Old Style","Palatino Linotype",Palatino,Georgia,serif; font-weight:600; line-height:1.15;
  text-wrap:balance; }
h1 { font-size:clamp(34px,5vw,54px); margin:0 0 10px; letter-spacing:-.015em; } h2 { font-size:30px; margin:76px 0 8px; }
h3 { font-size:21px; margin:0; } p { max-width:70ch; margin:8px 0; } .lead { font-size:20px; color:var(--soft); }
a { color:var(--accent); } .soft { color:var(--soft); } small { color:var(--soft); } code { font-size:.9em; }
.kicker { text-transform:uppercase; letter-spacing:.14em; font-size:12.5px; margin:0 0 4px; color:var(--accent);
  font-weight:600; }
nav { margin:26px 0 0; padding:8px 0; border-block:1px solid var(--line); font-size:14.5px; }
nav.back { border:0; margin:4px 0 0; padding:0; } nav ul { display:flex; flex-wrap:wrap; gap:2px 20px; margin:0; padding:0;
  list-style:none; }
nav a { display:inline-block; padding:5px 0; color:var(--soft); text-decoration:none; } nav a:hover { color:var(--accent); }
.tiles { list-style:none; padding:0; display:grid; grid-template-columns:repeat(auto-fill,minmax(290px,1fr)); gap:14px;
  margin:34px 0 8px; }
.tile,.panel { background:var(--card); border:1px solid var(--line); border-radius:14px; padding:18px 20px;
  box-shadow:var(--shadow); }
.tile b { display:block; font:600 36px/1.1 "Iowan Old Style",Palatino,Georgia,serif; font-variant-numeric:tabular-nums; }
.tile span { color:var(--soft); font-size:14px; display:block; margin-top:6px; line-height:1.4; } .panel { margin:18px 0; }
.note { border-left:3px solid var(--warn); padding:10px 18px; background:var(--card); border-radius:0 10px 10px 0;
  margin:16px 0;
  max-width:none; } .note p { max-width:none; } .note ul,details ul { margin:8px 0; padding-left:20px; } details li {
  margin:7px 0; max-width:90ch; } .note.good { border-color:var(--good); }
.scroll { overflow-x:auto; } section { content-visibility:auto; contain-intrinsic-size:auto 900px; } table {
  border-collapse:collapse; width:100%; font-size:14.5px;
  font-variant-numeric:tabular-nums; }
th { text-align:left; font-weight:600; color:var(--soft); font-size:13px; } td,th { padding:8px 12px;
  border-bottom:1px solid var(--line);
  vertical-align:baseline; } td.n,th.n { text-align:right; } td.n { white-space:nowrap; } tr.strong td { font-weight:600; }
tbody th { color:inherit; font-weight:400; font-size:inherit; } tbody tr.strong th { color:var(--accent); font-weight:600; }
td a { color:inherit; text-decoration-color:var(--quiet); text-underline-offset:3px; } td a:hover { color:var(--accent); }
 td small { display:block; font-weight:400; }
  tbody:last-child tr:last-child>* { border-bottom:0; }
.panel svg { width:100%; height:auto; display:block; } svg text { font:13px system-ui,sans-serif; fill:var(--ink); }
svg text.tick { fill:var(--soft); font-size:12px; } svg .grid { stroke:var(--line); } svg .diagonal { stroke:var(--quiet);
  stroke-dasharray:4 4; } svg .whisker { stroke:var(--quiet); stroke-width:3; stroke-linecap:round; }
  svg .dot { fill:var(--quiet); }
svg .strong.dot { fill:var(--accent); } svg .strong.whisker { stroke:var(--accent); opacity:.55; }
svg .curve { fill:none; stroke:var(--accent); stroke-width:2.2; stroke-linejoin:round; } svg text.strong { font-weight:600; }
svg text.value { font-variant-numeric:tabular-nums; }
.curves { display:grid; grid-template-columns:repeat(auto-fill,minmax(240px,1fr)); gap:14px 26px; }
.two { display:grid; grid-template-columns:minmax(0,2fr) minmax(0,1fr); gap:18px; align-items:start; }
img { display:block; width:100%; height:auto; aspect-ratio:1; object-fit:contain; border-radius:7px; background:var(--line); }
img.small { image-rendering:pixelated; } .gone { aspect-ratio:1; display:grid; place-items:center; text-align:center;
  font-size:12px;
  color:var(--soft); border:1px dashed var(--quiet); border-radius:7px; padding:6px; }
.grid8 { min-width:860px; table-layout:fixed; border-collapse:separate; border-spacing:8px 8px; margin:-8px;
  width:calc(100% + 16px);
  } .grid8 td,.grid8 th { padding:0; border:0; vertical-align:middle; } .grid8 tbody th { width:132px; font-size:13px;
  color:var(--soft); line-height:1.3; } .grid8 thead td { width:132px; } .grid8 th b { color:var(--ink); display:block; }
.who { display:flex; gap:8px; align-items:center; }
.grid8 thead th { font-size:11.5px; font-weight:400; line-height:1.25; text-align:center; vertical-align:bottom; }
.grid8 tbody+tbody::before { content:""; display:block; height:10px; }
.segment { margin:28px 0; } .segment>header { display:flex; flex-wrap:wrap; align-items:center; gap:4px 16px;
  margin-bottom:6px; }
.icon { flex:none; width:32px; height:32px; border-radius:50%; overflow:hidden; } .icon svg { width:32px; height:32px;
  display:block; }
.strip { list-style:none; padding:0; display:grid; grid-template-columns:repeat(8,minmax(0,1fr)); gap:10px; margin:8px 0
  18px; max-width:920px; }
.strip figcaption { font-size:11px; line-height:1.25; overflow:hidden; display:-webkit-box; -webkit-line-clamp:3;
  -webkit-box-orient:vertical; } figure { margin:0; } figcaption { font-size:12px; color:var(--soft); margin-top:6px;
  line-height:1.35; }
.cards { display:grid; grid-template-columns:repeat(auto-fill,minmax(400px,1fr)); gap:16px; }
.card { border:1px solid var(--line); border-radius:12px; padding:14px; background:var(--paper); }
.card h5 { margin:0 0 10px; font:600 15.5px/1.3 "Iowan Old Style",Palatino,Georgia,serif; min-height:1.3em; }
.trio { display:grid; grid-template-columns:repeat(3,minmax(0,1fr)); gap:10px; }
  .trio .mine img { outline:2.5px solid var(--accent);
  outline-offset:2px; } .trio .mine figcaption b { color:var(--accent); } .label { font-size:13px; font-weight:400;
  margin:14px 0 8px; color:var(--soft); } img.masks { max-width:816px; aspect-ratio:auto; image-rendering:pixelated; }
.up { color:var(--good); } .bar { display:inline-block; width:120px; height:8px; border-radius:4px; background:var(--line);
  overflow:hidden; }
.bar span { display:block; height:100%; background:var(--accent); } body>footer { margin-top:64px; color:var(--soft);
  font-size:14px; }
figcaption b { display:block; color:var(--ink); margin-bottom:3px; } figcaption i { font-style:normal; }
figcaption span { display:flex; justify-content:space-between; gap:6px; font-variant-numeric:tabular-nums; }
table.tight { width:auto; }
summary { cursor:pointer; } dl { display:grid; grid-template-columns:max-content minmax(0,70ch); gap:6px 20px;
  font-size:14.5px; } thead th { vertical-align:bottom; line-height:1.3; }
dt { font-weight:600; } dd { margin:0; color:var(--soft); } .panel>h3 { margin-bottom:6px; }
@media (max-width:700px) { .panel { overflow-x:auto; } .panel>svg { min-width:620px; }
  header.top,main,body>footer { padding-inline:16px; } header.top { padding-top:32px; }
  .two { grid-template-columns:1fr; } h2 { margin-top:56px; }
  .strip { grid-template-columns:repeat(4,1fr); } .cards { grid-template-columns:1fr; } }
@media (max-height:640px) { header.top { padding-top:24px; } h1 { font-size:34px; } .lead { font-size:17px; } header.top nav {
  margin-top:14px; } .tiles { margin-top:20px; } }
@media (prefers-reduced-motion:no-preference) { html { scroll-behavior:smooth; } }
@media print { body { background:#fff; } .tile,.panel { box-shadow:none; } }
"""
