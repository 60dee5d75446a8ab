/** @file How a report looks: light and dark, on a phone, in print. Every ink has a contrast of at least 4.5 on its ground. */

/** Inks and grounds by their names in the style sheet, for light and dark. */
export const PALETTE = {
  light: { ground: "#ffffff", raised: "#f4f5f7", ink: "#1c1c1c", quiet: "#565b63", link: "#0a57a3", line: "#c9cdd3", warn: "#8a3b00" },
  dark: { ground: "#15171b", raised: "#20242a", ink: "#e9eaec", quiet: "#a9b0ba", link: "#86bdf5", line: "#434a54", warn: "#ffb37a" },
} as const;

const variables = (palette: { readonly [name: string]: string }): string =>
  Object.entries(palette)
    .map(([name, colour]) => `--${name}:${colour}`)
    .join(";");

export const STYLE = `
:root{color-scheme:light dark;${variables(PALETTE.light)}}
@media (prefers-color-scheme:dark){:root{${variables(PALETTE.dark)}}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:1rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
header,nav,main,footer{max-width:64rem;margin:0 auto;padding:0 1rem}
header{padding-top:1.5rem}
h1,h2,h3,h4{line-height:1.25;margin:2em 0 .6em;overflow-wrap:anywhere}
h1{font-size:1.8rem;margin-top:0}
h2{font-size:1.4rem;border-bottom:1px solid var(--line);padding-bottom:.3rem}
h3{font-size:1.15rem}
h4{font-size:1rem;margin-top:1.5em}
p,li{max-width:46rem;overflow-wrap:anywhere}
a{color:var(--link)}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.skip{position:absolute;left:-999rem}
.skip:focus{left:1rem;top:1rem;padding:.5rem 1rem;background:var(--ground);z-index:1}
code,pre,.text{font-family:"DejaVu Sans Mono",ui-monospace,Menlo,Consolas,monospace;font-size:.875em}
.text{white-space:pre-wrap;overflow-wrap:anywhere}
pre{overflow-x:auto;background:var(--raised);border:1px solid var(--line);padding:.75rem}
.question{font-size:1.15rem}
.unit,.note,.none,.id{color:var(--quiet)}
.note,.id{display:block;font-size:.875em;font-weight:normal}
caption .note{display:inline}
.skipped{border-left:4px solid var(--warn);padding-left:.75rem}
.scroll{overflow-x:auto;max-width:100%;margin:.75rem 0}
table{border-collapse:collapse;font-size:.9375rem}
caption{text-align:left;font-weight:600;padding:.4rem 0;overflow-wrap:anywhere}
th,td{text-align:left;vertical-align:top;padding:.35rem .75rem .35rem 0;border-bottom:1px solid var(--line)}
thead th{border-bottom:2px solid var(--quiet)}
tbody th{font-weight:normal}
.int,.double,.value{font-variant-numeric:tabular-nums}
.int,.double{text-align:right}
.value{font-weight:600;white-space:nowrap}
.findings{width:100%}
.findings ul{margin:0;padding-left:1.1rem}
td .text{display:inline-block;min-width:4rem;max-width:36rem}
.hash{overflow-wrap:anywhere}
figure{margin:1.5rem 0}
.picture{background:#fff;border:1px solid var(--line);padding:.25rem}
.picture svg,.picture img{display:block;height:auto;max-width:max(100%,40rem)}
figcaption{max-width:46rem;overflow-wrap:anywhere}
summary{cursor:pointer;padding:.4rem 0;color:var(--link)}
dl{margin:.5rem 0}
dl div{display:grid;grid-template-columns:minmax(8rem,14rem) 1fr;gap:.1rem 1rem;padding:.2rem 0}
dt{color:var(--quiet)}
dd{margin:0;overflow-wrap:anywhere}
footer{margin-top:3rem;padding-bottom:2rem;color:var(--quiet)}
@media (max-width:48rem){
.findings,.findings tbody,.findings tr,.findings th,.findings td,.findings caption{display:block}
.findings thead{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}
.findings tr{border:1px solid var(--line);padding:.5rem .75rem;margin:.75rem 0}
.findings th,.findings td{border:0;padding:.2rem 0}
.findings tbody th{font-weight:600}
.findings td::before{content:attr(data-label);display:block;color:var(--quiet);font-size:.8125rem;font-weight:normal}
dl div{grid-template-columns:1fr}
}
@media print{
:root{${variables(PALETTE.light)}}
body{font-size:10pt}
.skip,nav{display:none}
.scroll,pre{overflow:visible}
pre{white-space:pre-wrap}
figure,tr{break-inside:avoid}
h2,h3,h4{break-after:avoid}
details::details-content{content-visibility:visible;block-size:auto}
}
`;
