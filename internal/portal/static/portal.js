// Additions to htmx. Every page works without them.
(function () {
  "use strict";
  var root = document.documentElement;
  root.classList.add("scripted");

  function each(selector, within, fn) {
    Array.prototype.forEach.call((within || document).querySelectorAll(selector), fn);
  }

  // A slider and its number field follow each other.
  function bindSlider(range) {
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
  each("[data-slides]", null, bindSlider);

  // A fault line that was swapped in marks its control as invalid, for screen readers.
  function markFaults() {
    each("[data-fault-for]", null, function (line) {
      var control = document.getElementById(line.dataset.faultFor);
      if (!control) return;
      if (line.textContent.trim() === "") control.removeAttribute("aria-invalid");
      else control.setAttribute("aria-invalid", "true");
    });
  }
  document.addEventListener("htmx:afterSettle", markFaults);

  // A screen reader reads the summary of faults first.
  var summary = document.querySelector("[data-focus]");
  if (summary) summary.focus();

  // Times of the next try count down.
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

  // A click copies an id or a secret.
  document.addEventListener("click", function (e) {
    var b = e.target.closest && e.target.closest("[data-copy]");
    if (!b || !navigator.clipboard) return;
    navigator.clipboard.writeText(b.dataset.copy).then(function () {
      b.classList.add("copied");
      window.setTimeout(function () { b.classList.remove("copied"); }, 1200);
    }, function () { /* the text can still be selected */ });
  });

  // In lists, j and k move the focus. Enter follows the focused link without help.
  document.addEventListener("keydown", function (e) {
    if (e.ctrlKey || e.metaKey || e.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName)) return;
    if (e.key !== "j" && e.key !== "k") return;
    var rows = document.querySelectorAll("[data-keys] a");
    if (!rows.length) return;
    var at = Array.prototype.indexOf.call(rows, document.activeElement);
    at = e.key === "j" ? Math.min(at + 1, rows.length - 1) : Math.max(at - 1, 0);
    rows[at].focus();
  });

  // A page has one stream. A tab that is hidden for 30 s closes it and reloads the page when it is shown again. A
  // page that has lost its stream says so after 5 s.
  var stream = null, hiddenTimer = null, lostTimer = null;
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
    if (lostTimer === null) lostTimer = window.setTimeout(function () { reconnecting(true); }, 5000);
  });
  document.addEventListener("htmx:sseOpen", function () {
    window.clearTimeout(lostTimer);
    lostTimer = null;
    reconnecting(false);
  });
  document.addEventListener("visibilitychange", function () {
    if (document.visibilityState === "hidden") {
      hiddenTimer = window.setTimeout(function () {
        if (stream && stream.readyState !== EventSource.CLOSED) { stream.close(); stream = "closed"; }
      }, 30000);
      return;
    }
    window.clearTimeout(hiddenTimer);
    if (stream === "closed") window.location.reload();
  });
})();
