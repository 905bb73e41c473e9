// The page's own script: tries again by itself, tells times in the visitor's zone, copies the
// report. Everything on the page is there without it.
(function () {
"use strict";
var doc = document, lang = doc.documentElement.lang, body = doc.body;
function all(selector) { return Array.prototype.slice.call(doc.querySelectorAll(selector)); }
function one(selector) { return doc.querySelector(selector); }

// Times in the zone and manner of the visitor.
all("time").forEach(function (time) {
var date = new Date(time.dateTime);
if (isNaN(date)) return;
try { time.textContent = date.toLocaleString(lang, { dateStyle: "medium", timeStyle: "long" }); } catch (e) {}
});

// Steps for another system than this are put away.
var agent = navigator.userAgent, own = /Windows/.test(agent) ? "windows"
: /Mac OS X/.test(agent) && !/iPhone|iPad/.test(agent) ? "macos"
: /Linux/.test(agent) && !/Android/.test(agent) ? "linux" : "";
if (own) all("[data-system]").forEach(function (step) { step.hidden = step.dataset.system !== own; });

// The address, without a query that may be secret; it is added here, and never sent by itself.
var address = location.origin + location.pathname;
all("[data-url]").forEach(function (place) { place.textContent = address; });
all("[data-archive]").forEach(function (link) { link.href = link.dataset.archive + address; });

// The report: to the clipboard, and into a letter.
var report = one("[data-report]"), copy = one("[data-copy]"), letter = one("[data-mail]");
if (report && copy) {
copy.hidden = false;
copy.addEventListener("click", function () {
var done = function () { copy.textContent = copy.dataset.copied; };
var select = function () {
var range = doc.createRange(), chosen = getSelection();
range.selectNodeContents(report);
chosen.removeAllRanges();
chosen.addRange(range);
if (doc.execCommand("copy")) done();
};
if (navigator.clipboard) navigator.clipboard.writeText(report.textContent).then(done, select);
else select();
});
}
if (report && letter) letter.addEventListener("click", function () {
letter.href = letter.dataset.mail + "?subject=" + encodeURIComponent(doc.title) + "&body=" + encodeURIComponent(report.textContent);
});

// Trying again, with growing, scattered waits, and for half an hour at most. Waits go on growing
// over loads, so that a site which comes and goes is not met by everybody at once.
var box = one("[data-again]");
if (!box || !window.fetch || !window.Intl || !Intl.RelativeTimeFormat) return;
// What may have counted, by a link that may count once only, is for the visitor to try again.
if (box.hasAttribute("data-sent") && location.search) return;
var said = one("[data-said]"), count = one("[data-count]"), first = +box.dataset.again;
var key = "causeway" + location.pathname, tries = 0, since = Date.now(), due = 0, busy = false;
try {
var kept = JSON.parse(sessionStorage.getItem(key));
if (kept && since - kept.at < 900000) { tries = kept.tries; since = kept.since; }
} catch (e) {}
var span = new Intl.RelativeTimeFormat(lang, { numeric: "always" });
function say(text) { if (said.textContent !== text) said.textContent = text; }
function keep() {
try { sessionStorage.setItem(key, JSON.stringify({ tries: tries, since: since, at: Date.now() })); } catch (e) {}
}
function plan() {
if (Date.now() - since > 1800000) { count.textContent = ""; return say(box.dataset.stopped); }
var wait = Math.min(first * Math.pow(1.6, tries), 300) * (0.8 + 0.4 * Math.random());
tries += 1;
keep();
due = Date.now() + wait * 1000;
say("");
tick();
}
function tick() {
if (!due) return;
var left = Math.ceil((due - Date.now()) / 1000);
if (left <= 0) {
// A page that nobody looks at waits until somebody does.
if (doc.hidden) return void doc.addEventListener("visibilitychange", tick, { once: true });
return attempt();
}
count.textContent = box.dataset.next.replace("{in}", left < 100 ? span.format(left, "second") : span.format(Math.round(left / 60), "minute"));
setTimeout(tick, 1000);
}
function attempt() {
if (busy) return;
busy = true;
due = 0;
count.textContent = "";
say(box.dataset.trying);
var stop = window.AbortController && new AbortController();
var limit = setTimeout(function () { if (stop) stop.abort(); }, 70000);
fetch(location.href, { method: "HEAD", cache: "no-store", redirect: "manual", headers: { Accept: "text/html" }, signal: stop ? stop.signal : undefined })
.then(function (answer) { return answer.type === "opaqueredirect" || answer.status < 500; }, function () { return false; })
.then(function (back) {
clearTimeout(limit);
busy = false;
if (!back) return plan();
say(box.dataset.back);
location.reload();
});
}
plan();
})();
