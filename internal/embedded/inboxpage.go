package embedded

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"slices"
	"strconv"
)

//go:embed inboxpage
var inboxFiles embed.FS

var inboxTemplates = template.Must(template.New("").Funcs(template.FuncMap{"size": readableSize}).ParseFS(inboxFiles,
	"inboxpage/*.html"))

// listed is a message in the pages: with the earlier one of the same Message-ID, which is how a
// repeat after a lost answer is recognised: mail is sent at least once (D18).
type listed struct {
	Message
	RepeatOf int // 0: none
}

// pages is the inbox as people and tests read it. Nothing can be changed through it.
func (i *Inbox) pages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", i.list)
	mux.HandleFunc("GET /messages/{id}", i.show)
	mux.HandleFunc("GET /messages/{id}/parts/{number}", i.download)
	mux.HandleFunc("GET /api/messages", i.listJSON)
	mux.HandleFunc("GET /api/messages/{id}/raw", i.source)
	mux.HandleFunc("GET /inbox.css", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, inboxFiles, "inboxpage/inbox.css")
	})
	return guarded(mux)
}

// guarded sets the headers of every answer, and refuses names other than this machine's: a page
// elsewhere whose name was made to point here must not read the mail.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if host != loopback && host != "localhost" {
			http.Error(w, "this inbox answers to localhost only", http.StatusMisdirectedRequest)
			return
		}
		h := w.Header()
		h.Set("Content-Security-Policy",
			"default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func (i *Inbox) list(w http.ResponseWriter, _ *http.Request) {
	messages := withRepeats(i.store.all())
	slices.Reverse(messages)
	render(w, "list.html", struct {
		Messages []listed
		SMTPAddr string
	}{messages, i.smtpAddr})
}

func (i *Inbox) show(w http.ResponseWriter, r *http.Request) {
	m, raw, ok := i.asked(w, r)
	if !ok {
		return
	}
	from, parts, err := readParts(raw)
	fault := ""
	if err != nil {
		fault = err.Error()
	}
	if from == "" {
		from = m.From
	}
	shown := listed{Message: m}
	for _, l := range withRepeats(i.store.all()) {
		if l.ID == m.ID {
			shown = l
		}
	}
	render(w, "message.html", struct {
		Message listed
		From    string
		Parts   []part
		Fault   string
	}{shown, from, parts, fault})
}

func (i *Inbox) download(w http.ResponseWriter, r *http.Request) {
	_, raw, ok := i.asked(w, r)
	if !ok {
		return
	}
	_, parts, _ := readParts(raw) // of a broken message, what could be read
	n, err := strconv.Atoi(r.PathValue("number"))
	if err != nil || n < 1 || n > len(parts) {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream") // never shown as what the mail says it is
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=\"message-%s-part-%d\"", r.PathValue("id"), n))
	_, _ = w.Write(parts[n-1].body)
}

func (i *Inbox) listJSON(w http.ResponseWriter, _ *http.Request) {
	messages := i.store.all()
	if messages == nil {
		messages = []Message{}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(messages) // an error means that the reader is gone
}

func (i *Inbox) source(w http.ResponseWriter, r *http.Request) {
	_, raw, ok := i.asked(w, r)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "message/rfc822")
	_, _ = w.Write(raw)
}

// asked reads the message a request names; without one it has answered already.
func (i *Inbox) asked(w http.ResponseWriter, r *http.Request) (Message, []byte, bool) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		http.NotFound(w, r)
		return Message{}, nil, false
	}
	m, ok := i.store.get(id)
	if !ok {
		http.NotFound(w, r)
		return Message{}, nil, false
	}
	raw, err := i.store.raw(id)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return Message{}, nil, false
	}
	return m, raw, true
}

// render writes a page only when the whole of it could be made.
func render(w http.ResponseWriter, name string, data any) {
	var b bytes.Buffer
	if err := inboxTemplates.ExecuteTemplate(&b, name, data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes())
}

// withRepeats finds for each message the first earlier one with the same Message-ID.
func withRepeats(messages []Message) []listed {
	first := make(map[string]int)
	out := make([]listed, len(messages))
	for n, m := range messages {
		out[n].Message = m
		if m.MessageID == "" {
			continue
		}
		if id, ok := first[m.MessageID]; ok {
			out[n].RepeatOf = id
			continue
		}
		first[m.MessageID] = m.ID
	}
	return out
}

// readableSize prints a number of bytes.
func readableSize(n int) string {
	if n < 1000 {
		return strconv.Itoa(n) + " B"
	}
	if n < 1_000_000 {
		return strconv.FormatFloat(float64(n)/1000, 'f', 1, 64) + " kB"
	}
	return strconv.FormatFloat(float64(n)/1_000_000, 'f', 1, 64) + " MB"
}
