"""The script of covers.html: choose, sort, compare and look closely. No library, nothing from elsewhere.

It reads the tables of explore_data.Covers (a day's file calls ``icgDay``) and makes text nodes only, so that a title can never
become markup. What is chosen stands behind the # of the address: a link leads to the same covers.
"""

from typing import Final

from icg_tasks.evaluation.explore_choices import CHOICES
from icg_tasks.evaluation.explore_data import FORMAT

PAGE_SIZE: Final = 60
"""Covers on one page of the list."""

_DRAWING: Final = r"""
function picture(cover, words, loading = "lazy") {
  if (!cover) return make("span", {class: "gone"}, "none");
  const image = make("img", {src: near(cover.day, cover.src), alt: words, loading, decoding: "async",
    width: 128, height: 128});
  image.addEventListener("load", () => sharpen(image));
  return image;
}
function sharpen(image) {  // what is very small is enlarged without smoothing
  if (image.naturalWidth && Math.max(image.naturalWidth, image.naturalHeight) <= 96) image.classList.add("small");
}
const describe = (cover, words) => `${itemOf(cover)[1]}, ${words || `${cover.by}, for ${segmentOf(cover)[1]}`}`;
function card(cover, number) {
  const metric = metricShown(), link = make("a", {class: "open", href: near(cover.day, cover.src), "data-n": number,
    "aria-haspopup": "dialog"}, picture(cover, describe(cover)));
  if (chosen.against) link.append(picture(cover.other, describe(cover, againstWords())));
  return make("li", {class: chosen.against ? "cover pair" : "cover"}, link, make("span", {class: "title"}, itemOf(cover)[1]),
    make("span", {class: "for"}, segmentOf(cover)[1]),
    metric === null ? null : make("span", {class: "figure"}, figure(cover, metric)));
}
function figure(cover, place) {
  const [, words, percent] = metrics()[place], right = cover.other && cover.other.values.length;
  return `${words} ${said(cover.values[place], percent)}${right ? ` / ${said(cover.other.values[place], percent)}` : ""}`;
}
function metricShown() {
  const place = metrics().findIndex(([name]) => name === chosen.sort.split(":").pop());
  return place < 0 ? null : place;
}
function render(focus, kept) {
  shown = choose();
  const pages = Math.max(1, Math.ceil(shown.length / PAGE)), page = Math.min(Math.max(1, Number(chosen.page) || 1), pages);
  chosen.page = String(page);
  const first = (page - 1) * PAGE, some = shown.slice(first, first + PAGE);
  if (!kept) by("covers").replaceChildren(...some.map((cover, number) => card(cover, first + number)));
  const range = shown.length ? `${count(first + 1)} to ${count(first + some.length)} of ${count(shown.length)} covers`
    : "No covers";
  by("status").textContent = `${range}${chosen.against ? `; right: ${againstWords()}` : ""}`;
  by("which").textContent = `Page ${count(page)} of ${count(pages)}`;
  by("before").disabled = page <= 1;
  by("after").disabled = page >= pages;
  if (focus) { by("status").focus(); by("list").scrollIntoView(); }
}
function options(select, groups, value) {
  select.replaceChildren(...groups.flatMap(([label, entries]) => {
    const made = entries.map(([name, words]) => make("option", {value: name}, words));
    return label && made.length ? [make("optgroup", {label}, ...made)] : made;
  }));
  select.value = value;
  if (select.selectedIndex < 0 && select.length) { select.selectedIndex = 0; chosen[select.name] = select.value; }
}
function fill() {
  const form = by("filters"), judged = chosen.view === "judged";
  const used = new Set(day[judged ? "judged" : "published"].map((row) => row[0]));
  const segments = day.segments.filter((_, place) => used.has(place)), arms = day.arms;
  form.view.value = chosen.view;
  options(form.segment, [["", [["", "all segments"], ...segments]]], chosen.segment);
  options(form.arm, [["", arms]], chosen.arm);
  options(form.generator, [["", [["", "any"], ...day.generators.map((name) => [name, name])]]], chosen.generator);
  form.made.value = chosen.made;
  const against = judged ? [["", [["", "nothing"]]], ["Another arm or generator", arms.filter(([name]) => name !== chosen.arm)
    .map(([name, words]) => [`arm:${name}`, words])]] : [["", [["", "nothing"], ["own", "the item’s own cover"],
    ["plain", "the unpersonalised cover"]]], ["Another generator", day.generators.length > 1
      ? day.generators.map((name) => [`by:${name}`, name]) : []],
    ["Another day", day.days.map((name) => [`day:${name}`, dated(name)])],
    ["Another segment", segments.filter(([name], place) => place && name !== chosen.segment)
      .map(([name, words]) => [`segment:${name}`, words])]];
  options(form.against, against, chosen.against);
  const orders = (words, way) => metrics().map(([name, metric]) => [`${way}${name}`, `${words} ${metric}`]);
  options(form.sort, [["", [["busy", "busiest first"], ["title", "by title"]]], ["Highest", orders("highest", "")],
    ["Lowest", orders("lowest", "low:")], ["Against the compared", chosen.against && chosen.against !== "own"
      ? [...orders("gain in", "gain:"), ...orders("loss in", "loss:")] : []]], chosen.sort);
  form.different.checked = Boolean(chosen.different);
  form.q.value = chosen.q;
  for (const node of form.querySelectorAll("[data-when]")) node.hidden = !node.dataset.when.split(" ").some((when) =>
    when === chosen.view || (when === "against" && chosen.against) ||
    (when === "many" && !judged && day.generators.length > 1));
}
function load(name) {
  if (days.has(name)) return Promise.resolve();
  by("status").textContent = `Reading the covers of ${dated(name)}`;
  return new Promise((done) => {
    const failed = () => { chosen.against = ""; fill(); render(); by("status").textContent =
      `The covers of ${dated(name)} cannot be read: their report may have been removed`; };
    waiting.set(name, () => { if (days.get(name).format === day.format) return done(); days.delete(name); failed(); });
    const script = make("script", {src: `../ds=${name}/covers.js`});
    script.addEventListener("error", failed);
    document.head.append(script);
  });
}
async function show(focus) {
  if (chosen.against.startsWith("day:")) await load(chosen.against.slice(4));
  fill();
  render(focus);
  const kept = Object.entries(chosen).filter(([name, value]) => value !== defaults[name]);
  history.replaceState(null, "", `#${new URLSearchParams(kept)}`);
}
function fromAddress() {
  const asked = [...new URLSearchParams(location.hash.slice(1))].filter(([name]) => Object.hasOwn(defaults, name));
  Object.assign(chosen, defaults, Object.fromEntries(asked));
  if (!day.published.length) chosen.view = "judged";
  if (!day.judged.length) chosen.view = "published";
}
function look(number) {
  const cover = shown[number], box = by("detail");
  if (!cover) return;
  opened = number;
  const extra = chosen.view === "judged" ? day.arms.map(([arm]) => armOf(cover, arm))
    : [own(cover), published(day, day.segments[0][0], cover), cover];
  if (cover.other && chosen.view !== "judged" && !["own", "plain"].includes(chosen.against))
    extra.push({...cover.other, by: againstWords()});
  by("detail-title").textContent = itemOf(cover)[1];
  by("detail-for").textContent = `${segmentOf(cover)[1]} · ${segmentOf(cover)[0]} · ${itemOf(cover)[0]}`;
  const under = (one) => one.day === day && one.segment === 0 ? "unpersonalised" : chosen.view !== "judged" && one === cover
    ? `for this segment, by ${one.by}` : one.by;
  by("detail-pictures").replaceChildren(...extra.filter(Boolean).map((one) => make("figure",
    {class: one.src === cover.src && one.by === cover.by ? "mine" : null},
    picture(one, describe(one, under(one)), "eager"), make("figcaption", {}, under(one)))));
  by("detail-heads").hidden = !(cover.other && cover.other.values.length);
  by("detail-other").textContent = cover.other ? againstWords() : "";
  by("detail-values").replaceChildren(...metrics().map(([, words, percent], place) => make("tr", {},
    make("th", {scope: "row"}, words), make("td", {class: "n"}, said(cover.values[place], percent)),
    cover.other && cover.other.values.length
      ? make("td", {class: "n soft"}, said(cover.other.values[place], percent)) : null)));
  if (!box.open) box.showModal();
}
function start() {
  const form = by("filters");
  day = days.get(by("covers").dataset.day);
  if (!day || day.format !== FORMAT_NUMBER) return;
  fromAddress();
  fill();
  form.hidden = by("pages").hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    const {name, type, checked, value} = event.target;
    chosen[name] = type === "checkbox" ? (checked ? "1" : "") : value;
    if (name === "view") Object.assign(chosen, {against: "", sort: "busy", segment: ""});
    if (name === "against" && !value) chosen.different = "";
    chosen.page = "1";
    show();
  });
  for (const [id, step] of [["before", -1], ["after", 1]]) by(id).addEventListener("click", () => {
    chosen.page = String(Number(chosen.page) + step); show(true); });
  by("covers").addEventListener("click", (event) => {
    const link = event.target.closest("[data-n]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    look(Number(link.dataset.n));
  });
  by("detail").addEventListener("keydown", (event) => {
    const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (step && shown[opened + step]) look(opened + step);
  });
  by("close").addEventListener("click", () => by("detail").close());
  document.addEventListener("error", (event) => { if (event.target.tagName === "IMG")
    event.target.replaceWith(make("span", {class: "gone"}, "no longer kept")); }, true);
  addEventListener("hashchange", () => { fromAddress(); show(); });
  if (location.hash.length > 1) return show();
  render(false, chosen.view === "published");
  document.querySelectorAll("#covers img").forEach((image) => {
    sharpen(image);
    image.addEventListener("load", () => sharpen(image));
  });
}
document.addEventListener("DOMContentLoaded", start);
})();
"""

_SCRIPT = CHOICES.lstrip() + _DRAWING.lstrip()
SCRIPT: Final = _SCRIPT.replace("PAGE_SIZE", str(PAGE_SIZE)).replace("FORMAT_NUMBER", str(FORMAT))
