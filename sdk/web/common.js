"use strict";

/* Text goes into a page through textContent alone, never as HTML: names come from outside. */
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]/gu;

/* Characters that do something to the text around them, written out; sdk/names.py has the same. */
function visible(text) {
  return String(text).replace(HIDDEN, (hidden) => "\\u" + hidden.charCodeAt(0).toString(16).padStart(4, "0"));
}

function element(name, settings = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(settings)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "text") made.textContent = visible(value);
    else if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : key === "title" || key === "aria-label" ? visible(value) : value);
  }
  const there = children.filter((child) => child !== null && child !== undefined);
  made.append(...there.map((child) => typeof child === "string" ? visible(child) : child));
  return made;
}

const find = (id) => document.getElementById(id);

function write(id, text) { find(id).textContent = visible(text); }

/* Times above this are seconds since 1970; below, seconds since the recording began. */
const CALENDAR = 1e8;

function two(number) { return String(number).padStart(2, "0"); }

function moment(seconds, withDate = false) {
  if (seconds < CALENDAR) {
    const whole = Math.floor(seconds + 1e-6), hours = Math.floor(whole / 3600);
    const rest = two(Math.floor(whole / 60) % 60) + ":" + two(whole % 60);
    return hours ? hours + ":" + rest : rest.replace(/^0/, "");
  }
  const date = new Date(seconds * 1000);
  const time = two(date.getHours()) + ":" + two(date.getMinutes()) + ":" + two(date.getSeconds());
  return withDate ? date.getFullYear() + "-" + two(date.getMonth() + 1) + "-" + two(date.getDate()) + " " + time : time;
}

function duration(seconds) {
  if (seconds < 9.95) return seconds.toFixed(1) + " s";
  seconds = Math.round(seconds);
  if (seconds < 90) return seconds + " s";
  if (seconds < 5400) return Math.floor(seconds / 60) + " min" + (seconds < 600 ? " " + seconds % 60 + " s" : "");
  if (seconds < 172800) return (seconds / 3600).toFixed(1) + " h";
  return (seconds / 86400).toFixed(1) + " days";
}

function count(number, one, several) { return number.toLocaleString("en") + " " + (number === 1 ? one : several); }

function cameraClass(number) { return "of" + (number % 8) + (Math.floor(number / 8) % 2 ? " striped" : ""); }

function swatch(number) { return element("span", { class: "swatch " + cameraClass(number), "aria-hidden": "true" }); }

function initials(name) {
  const digits = /(\d+)$/.exec(name);
  return digits ? digits[1] : name.slice(0, 2);
}

/* Beside a name that is written there, so it needs no text of its own. The colour is the person's, `sdk/colours.py`. */
function portrait(source, name, colour) {
  const frame = element("span", { class: "portrait", "aria-hidden": "true" });
  frame.style.setProperty("--person", colour);
  if (source) frame.append(element("img", { src: source, alt: "" }));
  else frame.textContent = visible(initials(name));
  return frame;
}

/* Steps that people count in, about `most` of them over `span` seconds. */
function ticks(first, last, most) {
  const span = Math.max(last - first, 1e-3);
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800];
  const step = steps.find((candidate) => span / candidate <= most) || 2592000;
  const shift = first > CALENDAR ? new Date(first * 1000).getTimezoneOffset() * 60 : 0;  // whole hours of local time
  const found = [];
  for (let at = Math.ceil((first - shift) / step) * step + shift; at <= last + 1e-6; at += step) found.push(at);
  return found;
}
