package portaltest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// Browser is one tab of a browser. It keeps the errors and warnings of the tab's console.
type Browser struct {
	t     testing.TB
	ctx   context.Context
	base  string
	shots string

	mu       sync.Mutex // guards messages
	messages []string
}

// pageTimeout is how long a page may take to show what it should.
const pageTimeout = 30 * time.Second

// Widths are the two window widths at which every page is checked, for a phone and for a desktop.
var Widths = []int64{360, 1280}

// Open starts a browser on a portal. When no browser is installed, it skips the test, or fails it where CI is
// set. Screenshots go to the directory PORTAL_SHOTS, else to a temporary one.
func Open(t testing.TB, base string) *Browser {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("no Chromium is installed, and CI must walk the pages")
		}
		t.Skip("no Chromium is installed: the pages were not walked")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	if os.Geteuid() == 0 {
		opts = append(opts, chromedp.NoSandbox)
	}
	allocator, stop := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(stop)
	ctx, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(closeTab)
	b := &Browser{t: t, ctx: ctx, base: base, shots: os.Getenv("PORTAL_SHOTS")}
	if b.shots == "" {
		b.shots = t.TempDir()
	}
	// The browser ends with this first context.
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	console := chromedp.Console(ctx)
	go func() {
		for m, err := range console {
			if err != nil {
				return
			}
			if m.Type == chromedp.ConsoleError || m.Type == chromedp.ConsoleException || m.Type == chromedp.ConsoleWarning {
				b.mu.Lock()
				b.messages = append(b.messages, fmt.Sprintf("%s %s %s", m.Type, m.Text, m.URL))
				b.mu.Unlock()
			}
		}
	}()
	return b
}

func (b *Browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, pageTimeout)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("browser: %v", err)
	}
}

// Go opens a path of the portal.
func (b *Browser) Go(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.base + path))
}

// eval evaluates an expression; ok is false while the page is replaced by another.
func eval[T any](b *Browser, expression string) (v T, ok bool) {
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	return v, err == nil
}

// Must evaluates an expression, and ends the test when that fails.
func Must[T any](b *Browser, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("browser: %s: %v", expression, err)
	}
	return v
}

// Until waits until an expression is true.
func (b *Browser) Until(what, expression string) {
	b.t.Helper()
	b.UntilWithin(pageTimeout, what, expression)
}

// UntilWithin waits until an expression is true, at most as long as timeout.
func (b *Browser) UntilWithin(timeout time.Duration, what, expression string) {
	b.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	for {
		if v, ok := eval[bool](b, "Boolean("+expression+")"); ok && v {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			text, _ := eval[string](b, "location.pathname + '\\n' + document.body.innerText.slice(0, 1500)")
			b.t.Fatalf("waited %s for %s; the page was %s", timeout, what, text)
		}
	}
}

// Press clicks an element.
func (b *Browser) Press(selector string) {
	b.t.Helper()
	b.do(chromedp.ScrollIntoView(chromedp.CSS(selector)), chromedp.Click(chromedp.CSS(selector)))
}

// Type replaces a control's text as a person would.
func (b *Browser) Type(selector, text string) {
	b.t.Helper()
	b.do(chromedp.Clear(chromedp.CSS(selector)), chromedp.SendKeys(chromedp.CSS(selector), text))
}

// Text returns the text of the first element that matches, "" when there is none.
func (b *Browser) Text(selector string) string {
	quoted, _ := json.Marshal(selector)
	return Must[string](b, "(document.querySelector("+string(quoted)+") || {textContent: ''}).textContent.trim()")
}

// Size sets the width of the window.
func (b *Browser) Size(width int64) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, 800))
}

// Theme sets the colour scheme that the person prefers, "light" or "dark".
func (b *Browser) Theme(theme string) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: theme},
			{Name: "prefers-reduced-motion", Value: "reduce"},
		},
	})
	if err != nil {
		b.t.Fatalf("browser: set theme: %v", err)
	}
}

// Look checks the current page: nothing is wider than the window at either width, the contrast of texts is
// sufficient, there is one first heading, every control has a label, and no element has a style attribute. It
// takes a screenshot in each width and theme.
func (b *Browser) Look(name string) {
	b.t.Helper()
	// The address changes before the page is loaded.
	b.Until("the whole page of "+name, `document.readyState === 'complete'`)
	for _, problem := range Must[[]string](b, auditScript) {
		b.t.Errorf("%s: %s", name, problem)
	}
	for _, theme := range []string{"light", "dark"} {
		b.Theme(theme)
		for _, width := range Widths {
			b.Size(width)
			for _, wide := range Must[[]string](b, overflowScript) {
				b.t.Errorf("%s at %d px is wider than the window: %s", name, width, wide)
			}
			for _, dim := range Must[[]string](b, contrastScript) {
				b.t.Errorf("%s, %s: contrast below 4.5:1: %s", name, theme, dim)
			}
			picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
			if err != nil {
				b.t.Fatalf("screenshot of %s: %v", name, err)
			}
			file := filepath.Join(b.shots, fmt.Sprintf("%s-%d-%s.png", name, width, theme))
			if err := os.WriteFile(file, picture, 0o600); err != nil {
				b.t.Fatalf("keep screenshot: %v", err)
			}
		}
	}
}

// Quiet fails the test when the console has messages other than those that contain an expected text.
func (b *Browser) Quiet(expected ...string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.messages {
		known := false
		for _, e := range expected {
			known = known || strings.Contains(m, e)
		}
		if !known {
			b.t.Errorf("console: %s", m)
		}
	}
	b.messages = nil
}

// overflowScript lists the elements that are wider than the window.
const overflowScript = `(() => {
  const w = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= w) return [];
  return [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > w + 1)
    .slice(0, 5).map(e => e.tagName + '.' + e.className + ' ' + Math.round(e.getBoundingClientRect().right));
})()`

// auditScript lists what is wrong with headings, labels, names and ids.
const auditScript = `(() => {
  const bad = [];
  const all = selector => [...document.querySelectorAll(selector)];
  const headings = all('h1').length;
  if (headings !== 1) bad.push('has ' + headings + ' first headings');
  if (!document.documentElement.lang) bad.push('has no language');
  if (all('[style]').length) bad.push('has style attributes');
  for (const e of all('input:not([type=hidden]), select, textarea'))
    if (!e.labels?.length && !e.getAttribute('aria-label')) bad.push('control without a label: ' + e.name);
  for (const e of all('button, a[href]'))
    if (!e.textContent.trim() && !e.getAttribute('aria-label'))
      bad.push('nameless ' + e.tagName + ' ' + e.outerHTML.slice(0, 80));
  for (const e of all('[aria-describedby]'))
    for (const id of e.getAttribute('aria-describedby').split(/\s+/))
      if (id && !document.getElementById(id))
        bad.push(e.tagName + ' ' + (e.name || e.id) + ' is described by #' + id + ', which does not exist');
  const ids = all('[id]').map(e => e.id);
  for (const id of new Set(ids)) if (ids.filter(i => i === id).length > 1) bad.push('id twice: ' + id);
  return bad;
})()`

// contrastScript lists texts whose contrast with the nearest opaque background is too low.
const contrastScript = `(() => {
  const luminance = rgb => {
    const [r, g, b] = rgb.slice(0, 3).map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const parse = text => {
    let m = text.match(/^rgba?\(([^)]+)\)/);
    if (m) {
      const p = m[1].split(/[ ,\/]+/).map(Number);
      return [p[0], p[1], p[2], p[3] === undefined ? 1 : p[3]];
    }
    m = text.match(/^color\(srgb ([^)]+)\)/);
    if (m) {
      const p = m[1].split(/[ \/]+/).map(Number);
      return [p[0] * 255, p[1] * 255, p[2] * 255, p[3] === undefined ? 1 : p[3]];
    }
    return null;
  };
  const background = element => {
    for (let e = element; e; e = e.parentElement) {
      const color = parse(getComputedStyle(e).backgroundColor);
      if (color && color[3] > 0.99) return color;
    }
    return [255, 255, 255];
  };
  const visible = {opacityProperty: true, visibilityProperty: true};
  const found = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || e.closest('svg, .unseen, .skip, script, option') || !e.checkVisibility(visible)) continue;
    const style = getComputedStyle(e), ink = parse(style.color);
    if (!ink) continue;
    const a = luminance(ink), b = luminance(background(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize), large = size >= 24 || size >= 18.66 && style.fontWeight >= 700;
    if (ratio < (large ? 3 : 4.5))
      found.add(e.tagName + '.' + e.className + ' ' + ratio.toFixed(2) + ' ' + JSON.stringify(text.slice(0, 30)));
  }
  return [...found].slice(0, 5);
})()`

// selectValue chooses an option as a person would, with a change event.
func selectValue(selector, value string) chromedp.Action[chromedp.Void] {
	return chromedp.Evaluate[chromedp.Void](`(() => { const s = document.querySelector(` + quoted(selector) +
		`); s.value = ` + quoted(value) + `; s.dispatchEvent(new Event('change', {bubbles: true})); })()`)
}
