"""The one style sheet of every page that :mod:`fakd_jax.reporting.pages` builds."""

# System fonts, no picture, no import: a page must ask nothing of the network.
STYLE = """
:root {
  color-scheme: light dark;
  --ground: #ffffff; --ink: #1b1f24; --quiet: #57606a; --rule: #d5dae0; --raised: #f5f7f9;
  --accent: #0b5cad; --warn-ground: #fff5d6; --warn-rule: #b57600;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14181d; --ink: #e3e7ec; --quiet: #9ba5b1; --rule: #363d46; --raised: #1e242b;
    --accent: #79b8ff; --warn-ground: #33290f; --warn-rule: #d9a13b;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
main, header, nav { max-width: 62rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2rem; }
main { padding-bottom: 4rem; }
h1 { margin: 0 0 1rem; font-size: 1.8rem; line-height: 1.25; }
h2 { margin: 2.75rem 0 1rem; padding-bottom: .3rem; border-bottom: 1px solid var(--rule);
  font-size: 1.35rem; line-height: 1.3; }
h3 { margin: 1.75rem 0 .5rem; font-size: 1.08rem; line-height: 1.35; }
h1, h2, h3, td, th, dd, figcaption, p, li, summary { overflow-wrap: break-word; }
p, li, dd { max-width: 46rem; }
p { margin: .65rem 0; }
ul { margin: .65rem 0; padding-left: 1.35rem; }
li { margin: .25rem 0; }
a { color: var(--accent); }
nav ul { display: flex; flex-wrap: wrap; gap: .3rem 1.25rem; margin: 1.25rem auto 0; padding: 0;
  list-style: none; }
nav li { margin: 0; }
code { font: .88em/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .93rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .8rem; border-bottom: 1px solid var(--rule); text-align: left;
  vertical-align: top; }
thead th { border-bottom: 2px solid var(--rule); background: var(--raised);
  vertical-align: bottom; }
td:not([class]) { min-width: 9rem; }
tbody th { min-width: 8.5rem; font-weight: 500; }
.right { text-align: right; white-space: nowrap; }
.centre { text-align: center; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .35rem 1.5rem;
  margin: 1rem 0; }
dt { color: var(--quiet); }
dd { margin: 0; }
figure { margin: 1.25rem 0; }
figcaption { max-width: 46rem; margin-bottom: .5rem; color: var(--quiet); font-size: .9rem; }
img { display: block; max-width: 100%; height: auto; border-radius: 4px; }
figure > img { margin-bottom: .5rem; background: #ffffff; }
.thumbnails { display: grid; grid-template-columns: repeat(auto-fill, minmax(11.5rem, 1fr));
  gap: 1rem; margin: 1.25rem 0; }
.thumbnails figure { margin: 0; padding: .6rem; border: 1px solid var(--rule); border-radius: 6px;
  background: var(--raised); }
.thumbnails img { width: 100%; aspect-ratio: 1; object-fit: contain; background: #000000; }
.thumbnails figcaption { color: var(--ink); font-size: .85rem; line-height: 1.45;
  overflow-wrap: anywhere; }
.thumbnails p { margin: .2rem 0; }
.beside { display: flex; flex-wrap: wrap; align-items: flex-start; gap: 0 2.5rem; }
.beside > * { min-width: 0; }
details { margin: 1rem 0; padding: .5rem .9rem; border: 1px solid var(--rule);
  border-radius: 6px; }
summary { cursor: pointer; font-weight: 500; }
.warning { max-width: 48rem; margin: 1.25rem 0; padding: .5rem 1rem; border-radius: 4px;
  border-left: 5px solid var(--warn-rule); background: var(--warn-ground); }
@media (max-width: 38rem) {
  dl { grid-template-columns: minmax(0, 1fr); gap: 0; }
  dd { margin-bottom: .6rem; }
  th, td { padding: .3rem .5rem; }
  .thumbnails { grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .6rem; }
}
@media print {
  :root {
    --ground: #ffffff; --ink: #000000; --quiet: #444444; --rule: #bbbbbb; --raised: #ffffff;
    --accent: #000000; --warn-ground: #ffffff; --warn-rule: #000000;
  }
  body { font-size: 10pt; }
  main, header, nav { max-width: none; padding: 0; }
  nav { display: none; }
  h2, h3 { break-after: avoid; }
  figure, tr, .warning { break-inside: avoid; }
  .scroll { overflow: visible; }
  .warning { border: 1px solid #000000; }
}
"""
