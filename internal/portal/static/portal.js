// What a page does beyond htmx: nothing here is needed to use it.
(function () {
  "use strict";
  var root = document.documentElement;
  root.classList.add("scripted");

  function each(selector, within, fn) {
    Array.prototype.forEach.call((within || document).querySelectorAll(selector), fn);
  }

  // A number's slider follows its field and leads it.
  function slide(range) {
    var field = document.getElementById(range.dataset.slides);
    if (!field) return;
    range.hidden = false;
    range.addEventListener("input", function (e) {
      e.stopPropagation();
      field.value = range.value;
      field.dispatchEvent(new Event("input", { bubbles: true }));
    });
    field.addEventListener("input", function () { range.value = field.value; });
  }
  each("[data-slides]", null, slide);

  // A fault line that came in marks its control, for those who do not see it.
  function markFaults() {
    each("[data-fault-for]", null, function (line) {
      var control = document.getElementById(line.dataset.faultFor);
      if (!control) return;
      if (line.textContent.trim() === "") control.removeAttribute("aria-invalid");
      else control.setAttribute("aria-invalid", "true");
    });
  }
  document.addEventListener("htmx:afterSettle", markFaults);

  // What is wrong is read first.
  var summary = document.querySelector("[data-focus]");
  if (summary) summary.focus();

  // Waits count down.
  function countDown() {
    each("[data-countdown]", null, function (t) {
      var left = Math.ceil((Date.parse(t.dateTime) - Date.now()) / 1000);
      if (!t.title) t.title = t.textContent.trim();
      t.textContent = left > 90 ? "in " + Math.round(left / 60) + " minutes" : left > 0 ? "in " + left + " s" : "any moment now";
    });
  }
  countDown();
  window.setInterval(countDown, 1000);
  document.addEventListener("htmx:sseMessage", countDown);

  // One click copies an id.
  document.addEventListener("click", function (e) {
    var b = e.target.closest && e.target.closest("[data-copy]");
    if (!b || !navigator.clipboard) return;
    navigator.clipboard.writeText(b.dataset.copy).then(function () {
      b.classList.add("copied");
      window.setTimeout(function () { b.classList.remove("copied"); }, 1200);
    }, function () { /* the text can still be selected */ });
  });

  // Lists: j and k move, Enter is the link's own.
  document.addEventListener("keydown", function (e) {
    if (e.ctrlKey || e.metaKey || e.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName)) return;
    if (e.key !== "j" && e.key !== "k") return;
    var rows = document.querySelectorAll("[data-keys] a");
    if (!rows.length) return;
    var at = Array.prototype.indexOf.call(rows, document.activeElement);
    at = e.key === "j" ? Math.min(at + 1, rows.length - 1) : Math.max(at - 1, 0);
    rows[at].focus();
  });

  // One stream a page: a tab that is hidden for half a minute gives its connection back, and a page
  // that lost its stream says so after five seconds.
  var stream = null, hiddenFor = null, lostFor = null;
  if (window.htmx) {
    window.htmx.createEventSource = function (url) {
      stream = new EventSource(url, { withCredentials: true });
      return stream;
    };
  }
  function reconnecting(on) {
    var note = document.getElementById("reconnecting");
    if (note) note.hidden = !on;
  }
  document.addEventListener("htmx:sseError", function () {
    if (lostFor === null) lostFor = window.setTimeout(function () { reconnecting(true); }, 5000);
  });
  document.addEventListener("htmx:sseOpen", function () {
    window.clearTimeout(lostFor);
    lostFor = null;
    reconnecting(false);
  });
  document.addEventListener("visibilitychange", function () {
    if (document.visibilityState === "hidden") {
      hiddenFor = window.setTimeout(function () {
        if (stream && stream.readyState !== EventSource.CLOSED) { stream.close(); stream = "closed"; }
      }, 30000);
      return;
    }
    window.clearTimeout(hiddenFor);
    if (stream === "closed") window.location.reload();
  });
})();
