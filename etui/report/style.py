"""The style sheet of a report: light and dark by the reader's preference, and for print."""

STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5a6472; --paper: #ffffff; --panel: #f5f7fa; --edge: #d9dee5;
  --good: #11693a; --good-back: #e3f4ea; --bad: #a31d1d; --bad-back: #fbe6e4; --warn: #7a4d00; --warn-back: #fdf0d5; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --soft: #9aa5b4; --paper: #14181f; --panel: #1d232c;
  --edge: #353e4b; --good: #6fd39b; --good-back: #16301f; --bad: #ff9d94; --bad-back: #3d1b1b; --warn: #f0c060;
  --warn-back: #362a10; } }
* { box-sizing: border-box; }
body { font: .94rem/1.55 system-ui, "Segoe UI", Roboto, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 76rem; margin: 2rem auto; padding: 0 1.25rem; overflow-wrap: break-word; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .75rem; padding-top: 1rem; border-top: 1px solid var(--edge); }
h3 { font-size: 1.05rem; margin: 1.75rem 0 .5rem; }
h4 { font-size: .95rem; margin: 1.1rem 0 .3rem; }
.soft, .legend { color: var(--soft); }
.legend, .soft small { font-size: .85rem; }
.verdict { border: 1px solid var(--edge); border-left-width: 6px; border-radius: 8px; padding: 1rem 1.25rem;
  margin: 1.25rem 0; background: var(--panel); }
.verdict .headline { font-size: 1.3rem; font-weight: 650; margin: 0 0 .5rem; }
.verdict.good { border-left-color: var(--good); } .verdict.bad { border-left-color: var(--bad); }
.verdict.warn { border-left-color: var(--warn); }
.verdict ul { margin: .5rem 0 0; padding-left: 1.2rem; }
.caveats { list-style: none; padding-left: 0; } .verdict .caveats { padding-left: 0; color: var(--warn); }
.badge { display: inline-block; border-radius: 99px; padding: .05rem .7rem; margin: 0 .4rem .3rem 0; font-size: .85rem;
  border: 1px solid currentColor; }
.good { color: var(--good); } .bad { color: var(--bad); } .warn { color: var(--warn); } .muted { color: var(--soft); }
.badge.good { background: var(--good-back); } .badge.bad { background: var(--bad-back); }
.badge.warn { background: var(--warn-back); }
.verdict.good, .verdict.bad, .verdict.warn { color: inherit; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.25rem, 1fr)); gap: .75rem; margin: 1rem 0; }
.card { border: 1px solid var(--edge); border-radius: 8px; padding: .6rem .8rem; min-width: 0; }
.card .label { color: var(--soft); font-size: .8rem; } .card .value { font-size: 1.1rem; font-weight: 600; }
.card .remark { color: var(--soft); font-size: .8rem; line-height: 1.35; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
td, th { padding: .3rem .7rem; border-bottom: 1px solid var(--edge); text-align: left; }
td { vertical-align: top; }
.results { width: 100%; font-size: .85rem; } .results td, .results th { padding: .3rem .5rem; }
.results td, .results th, .numbers td, .numbers th { text-align: right; }
.results td:first-child, .results th:first-child, .numbers td:first-child, .numbers th:first-child { text-align: left; }
.results td span { white-space: nowrap; } .results td:first-child { min-width: 7rem; }
.strong { font-weight: 700; }
svg { max-width: 100%; height: auto; display: block; margin: .75rem 0; color: var(--ink); }
.wide { overflow-x: auto; }
details { border: 1px solid var(--edge); border-radius: 8px; padding: .4rem .9rem; margin: .5rem 0; }
summary { cursor: pointer; font-weight: 600; }
summary .soft { font-weight: 400; font-size: .85rem; }
dl { display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: .15rem 1rem; margin: .3rem 0;
  font-size: .9rem; }
dt { color: var(--soft); } dd { margin: 0; min-width: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
dd.whole { grid-column: 1 / -1; }
@media print {
  html { font-size: 11px; } body { max-width: none; margin: 0; font-size: 1rem; }
  .verdict, .card, svg, tr, h2, h3 { break-inside: avoid; } h2, h3, h4 { break-after: avoid; }
  .wide { overflow: visible; } td, th, .results td, .results th { padding: .15rem .35rem; }
  .results { font-size: .78rem; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
