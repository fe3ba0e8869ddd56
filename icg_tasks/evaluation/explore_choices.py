"""First half of the script of covers.html: what is listed, what each cover is compared with, and in what order.

JavaScript as text; explore_script.py puts the halves together. A row of the list is an object with the day it is from, segment,
item, address, values, and who or what made it.
"""

from typing import Final

CHOICES: Final = r"""
"use strict";
(() => {
const PAGE = PAGE_SIZE, days = new Map(), waiting = new Map(), chosen = {};
const by = (id) => document.getElementById(id);
const defaults = {view: "published", segment: "", generator: "", made: "", arm: "personalised", sort: "busy", against: "",
  different: "", q: "", page: "1"};
let day, shown = [], opened = 0;
globalThis.icgDay = (found) => { days.set(found.day, found); (waiting.get(found.day) || (() => {}))(); };

function make(tag, attributes = {}, ...inside) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null && value !== false) node.setAttribute(name, value);
  node.append(...inside.filter((part) => part !== null));
  return node;
}
const count = (number) => number.toLocaleString("en");
const said = (value, percent) => value === null || value === undefined ? "–"
  : (percent ? `${(100 * value).toFixed(1)} %` : value.toFixed(3)).replace("-", "−");
const dated = (text) => new Date(`${text}T12:00:00Z`).toLocaleDateString("en-GB",
  {day: "numeric", month: "long", year: "numeric", timeZone: "UTC"});
const metrics = () => chosen.view === "judged" ? day.metrics : day.scores;
const segmentOf = (cover) => cover.day.segments[cover.segment];
const itemOf = (cover) => cover.day.items[cover.item];
const near = (where, address) => !address || where === day || address.startsWith("../") ? address
  : `../ds=${where.day}/${address}`;

function publishedOf(where) {
  return where.covers ??= where.published.map((row) => ({day: where, segment: row[0], item: row[1], src: row[3],
    by: where.generators[row[2]], values: row.slice(4, 7), fresh: row[7]}));
}
function judgedOf(arm) {
  const place = day.arms.findIndex(([name]) => name === arm);
  return place < 0 ? [] : day.judged.map(([segment, item, sources, values]) => ({day, segment, item, src: sources[place],
    by: day.arms[place][1], values: values[place], arm, sources, all: values})).filter((cover) => cover.src);
}
function lookUp(where) {
  return where.byPair ??= new Map([...publishedOf(where)].reverse().flatMap((cover) =>
    [cover.by, ""].map((by) => [pair(segmentOf(cover)[0], cover, by), cover])));
}
const pair = (segment, cover, by) => `${segment}\n${itemOf(cover)[0]}\n${by}`;
const published = (where, segment, cover, by = cover.by) => lookUp(where).get(pair(segment, cover, by))
  || (by === cover.by && lookUp(where).get(pair(segment, cover, ""))) || null;
function other(cover) {
  const [kind, name] = chosen.against.split(":");
  if (kind === "own") return own(cover);
  if (kind === "plain") return published(day, day.segments[0][0], cover);
  if (kind === "segment") return published(day, name, cover);
  if (kind === "by") return published(day, segmentOf(cover)[0], cover, name);
  if (kind === "day") return days.has(name) ? published(days.get(name), segmentOf(cover)[0], cover) : null;
  if (kind === "arm") return armOf(cover, name);
  return null;
}
const own = (cover) => itemOf(cover)[2] ? {...cover, src: itemOf(cover)[2], by: "own cover", values: []} : null;
function armOf(cover, arm) {
  const place = day.arms.findIndex(([name]) => name === arm);
  return place < 0 || !cover.sources || !cover.sources[place] ? null
    : {...cover, src: cover.sources[place], by: day.arms[place][1], values: cover.all[place]};
}
function againstWords() {
  const [kind, name] = chosen.against.split(":");
  if (kind === "own") return "own cover";
  if (kind === "plain") return "unpersonalised";
  if (kind === "segment") return (day.segments.find(([id]) => id === name) || [name, name])[1];
  if (kind === "day") return dated(name);
  if (kind === "by") return name;
  return (day.arms.find(([arm]) => arm === name) || [name, name])[1];
}
function choose() {
  let covers = chosen.view === "judged" ? judgedOf(chosen.arm) : publishedOf(day);
  if (chosen.segment) covers = covers.filter((cover) => segmentOf(cover)[0] === chosen.segment);
  else if (chosen.view === "published") covers = covers.filter((cover) => cover.segment !== 0);
  if (chosen.view === "published" && chosen.generator) covers = covers.filter((cover) => cover.by === chosen.generator);
  if (chosen.view === "published" && chosen.made)
    covers = covers.filter((cover) => cover.fresh === Number(chosen.made === "new"));
  const wanted = chosen.q.trim().toLowerCase();
  if (wanted) covers = covers.filter((cover) => itemOf(cover)[1].toLowerCase().includes(wanted) || itemOf(cover)[0] === wanted);
  covers = covers.map((cover) => ({...cover, other: chosen.against ? other(cover) : null}));
  if (chosen.against && chosen.different)
    covers = covers.filter((cover) => cover.other && near(cover.other.day, cover.other.src) !== cover.src);
  return sorted(covers);
}
function sorted(covers) {
  const parts = chosen.sort.split(":"), name = parts.pop(), way = parts[0] || "high";
  if (name === "title") return covers.sort((a, b) => itemOf(a)[1].localeCompare(itemOf(b)[1], "en"));
  const place = metrics().findIndex(([metric]) => metric === name);
  if (place < 0) return covers;
  const value = (cover) => !["gain", "loss"].includes(way) ? cover.values[place] ?? null
    : (cover.values[place] ?? null) === null || (cover.other?.values[place] ?? null) === null ? null
    : cover.values[place] - cover.other.values[place];
  const sign = ["low", "loss"].includes(way) ? 1 : -1;
  return covers.map((cover) => [value(cover), cover]).sort(([a], [b]) => a === null ? (b === null ? 0 : 1)
    : b === null ? -1 : sign * (a - b)).map(([, cover]) => cover);
}
"""
