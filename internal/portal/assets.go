package portal

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strings"
)

//go:embed static
var static embed.FS

// assets are the files that every page loads. They are built into the binary. Their names carry a hash of their
// content, so that browsers may keep them for a year.
type assets struct {
	files map[string]asset // by the name in the URL
	names fileNames
}

type asset struct {
	kind    string
	raw     []byte
	zipped  []byte // gzip, empty where it would not be smaller
	forever bool   // its name carries a hash, so it never changes
}

// fileNames are the paths a page refers to.
type fileNames struct{ Style, HTMX, SSE, Script, Icon string }

var kinds = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// loadAssets panics when a built-in file is missing, because that is a mistake in the build that shows at start.
func loadAssets() *assets {
	a := &assets{files: map[string]asset{}}
	a.names = fileNames{
		Style:  a.add("portal.css", styleSheet()),
		HTMX:   a.add("htmx.js", mustRead("htmx.min.js")),
		SSE:    a.add("sse.js", mustRead("sse.min.js")),
		Script: a.add("portal.js", mustRead("portal.js")),
		Icon:   a.add("icon.svg", mustRead("icon.svg")),
	}
	for _, name := range []string{"chevron.svg", "checkbox.svg", "minus.svg", "search.svg", "date.svg"} {
		a.files[name] = pack(name, mustRead(name), false) // the style sheet refers to this name
	}
	return a
}

// styleSheet puts Pico into a layer below our tokens, because unlayered rules win over every layer. @charset is
// valid only at the beginning of a file.
func styleSheet() []byte {
	pico := bytes.TrimPrefix(mustRead("pico.min.css"), []byte(`@charset "UTF-8";`))
	var b bytes.Buffer
	b.WriteString("@charset \"UTF-8\";\n@layer base, tokens, tenant, parts;\n@layer base {\n")
	b.Write(pico)
	b.WriteString("\n}\n")
	b.Write(mustRead("portal.css"))
	return b.Bytes()
}

func mustRead(name string) []byte {
	b, err := static.ReadFile("static/" + name)
	if err != nil {
		panic(fmt.Sprintf("portal: built-in file %s: %v", name, err))
	}
	return b
}

func (a *assets) add(name string, content []byte) string {
	sum := sha256.Sum256(content)
	ext := path.Ext(name)
	hashed := strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:8]) + ext
	a.files[hashed] = pack(name, content, true)
	return "/static/" + hashed
}

func pack(name string, content []byte, forever bool) asset {
	f := asset{kind: kinds[path.Ext(name)], raw: content, forever: forever}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(content); err == nil && z.Close() == nil && b.Len() < len(content) {
		f.zipped = b.Bytes()
	}
	return f
}

// ServeHTTP answers GET /static/….
func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, ok := a.files[strings.TrimPrefix(r.URL.Path, "/static/")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", "public, max-age=3600")
	if f.forever {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	body := f.raw
	h.Add("Vary", "Accept-Encoding")
	if len(f.zipped) > 0 && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = f.zipped
	}
	_, _ = w.Write(body) // the client may have gone away, which is no error
}
