"""The style of covers.html, on top of the report's: the bar of choices, the list of covers, the closer look."""

from typing import Final

EXPLORE_STYLE: Final = """
.filters { display:grid; grid-template-columns:repeat(auto-fill,minmax(170px,1fr)); gap:12px 16px; align-items:end;
  margin:26px 0 10px; padding:16px 18px; overflow:visible; }
.filters label,.filters legend { font-size:13px; color:var(--soft); } .filters [hidden] { display:none !important; }
.filters fieldset { border:0; margin:0; padding:0; min-width:0; grid-column:span 2; }
.filters fieldset label { display:inline-flex; align-items:center; gap:6px; min-height:38px; margin-right:16px;
  color:var(--ink); font-size:15px; } .filters legend { padding:0; }
.filters select,.filters input[type=search] { display:block; width:100%; min-height:38px; margin-top:3px; padding:6px 9px;
  font:inherit; font-size:15px; color:var(--ink); background:var(--paper); border:1px solid var(--edge); border-radius:8px; }
.filters .check { display:flex; gap:8px; align-items:center; min-height:38px; color:var(--ink); font-size:14.5px; }
.filters .grow { grid-column:span 2; } .filters input[type=radio],.filters input[type=checkbox] { width:18px; height:18px;
  margin:0; accent-color:var(--accent); }
.status { color:var(--soft); margin:18px 0 10px; max-width:none; font-variant-numeric:tabular-nums; }
.covers { list-style:none; margin:0; padding:0; display:grid; gap:22px 16px;
  grid-template-columns:repeat(auto-fill,minmax(148px,1fr)); }
.cover { min-width:0; content-visibility:auto; contain-intrinsic-size:auto 210px; }
.cover.pair { grid-column:span 2; } .open { display:grid; grid-auto-flow:column; grid-auto-columns:minmax(0,1fr); gap:6px;
  border-radius:9px; color:inherit; text-decoration:none; } .open:hover img { outline:2px solid var(--accent);
  outline-offset:1px; } .cover span { display:block; overflow-wrap:anywhere; }
.cover .title { font-size:14.5px; line-height:1.3; margin-top:7px; font-weight:600; }
.cover .for,.cover .figure { font-size:12.5px; line-height:1.35; color:var(--soft); }
.cover .figure { font-variant-numeric:tabular-nums; color:var(--ink); } .cover .gone { display:grid; }
.pages { display:flex; justify-content:center; align-items:center; gap:18px; margin:34px 0 0; padding:0; border:0; }
button { font:inherit; font-size:15px; min-height:40px; padding:7px 16px; color:var(--ink); background:var(--card);
  border:1px solid var(--edge); border-radius:9px; cursor:pointer; } button:hover:enabled { border-color:var(--accent); }
button:disabled { opacity:.45; cursor:default; }
dialog { width:min(880px,calc(100vw - 32px)); max-height:calc(100vh - 32px); padding:22px 26px; color:var(--ink);
  background:var(--card); border:1px solid var(--line); border-radius:16px; overflow:auto; }
dialog::backdrop { background:rgba(10,8,5,.55); } dialog h2 { margin:0; font-size:26px; }
.heading { display:flex; justify-content:space-between; align-items:start; gap:16px; }
.pictures { display:grid; grid-template-columns:repeat(auto-fit,minmax(100px,1fr)); gap:14px; margin:16px 0; }
.pictures figure { max-width:260px; } .pictures .mine img { outline:2.5px solid var(--accent); outline-offset:2px; }
.pictures .mine figcaption { color:var(--accent); font-weight:600; } dialog table { width:auto; } .keys { font-size:13px; }
@media (max-width:700px) { .covers { grid-template-columns:repeat(auto-fill,minmax(104px,1fr)); gap:16px 10px; }
  .covers:has(.pair) { grid-template-columns:repeat(auto-fill,minmax(170px,1fr)); } .cover.pair { grid-column:auto; }
  .filters { grid-template-columns:1fr 1fr; } .filters fieldset,.filters .grow { grid-column:1/-1; } dialog { padding:16px; }
  .pictures { grid-template-columns:repeat(3,minmax(0,1fr)); } }
"""
