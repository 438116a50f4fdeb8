package embedded

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of what the page reads and shows of a message.
const (
	maxParts     = 50
	maxDepth     = 5         // of nested multiparts
	maxShownText = 256 << 10 // bytes
)

// part is a part of a message that is not a multipart.
type part struct {
	Number int    // 1, 2, … in the order of the message
	Type   string // without parameters, such as "text/plain"
	Name   string // the file name, if it has one
	Size   int    // decoded, bytes
	Shown  bool   // Text is set, because the part is text
	Text   string
	body   []byte
}

// readParts parses a message. With an error it returns the parts that could be read.
func readParts(raw []byte) (from string, parts []part, err error) {
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return "", nil, err
	}
	err = walkParts(m.Header, m.Body, maxDepth, &parts)
	return decodeHeader(m.Header.Get("From")), parts, err
}

// header is the part of mail.Header and textproto.MIMEHeader that is used here.
type header interface{ Get(name string) string }

func walkParts(h header, body io.Reader, depth int, parts *[]part) error {
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		kind, params = "text/plain", nil // RFC 2045, 5.2
	}
	if !strings.HasPrefix(kind, "multipart/") {
		return addLeaf(h, kind, body, parts)
	}
	if depth == 0 {
		return fmt.Errorf("more than %d levels of parts", maxDepth)
	}
	r := multipart.NewReader(body, params["boundary"])
	for {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := walkParts(p.Header, p, depth-1, parts); err != nil {
			return err
		}
	}
}

func addLeaf(h header, kind string, body io.Reader, parts *[]part) error {
	if len(*parts) == maxParts {
		return fmt.Errorf("more than %d parts", maxParts)
	}
	switch strings.ToLower(strings.TrimSpace(h.Get("Content-Transfer-Encoding"))) {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	}
	b, err := io.ReadAll(body)
	p := part{Number: len(*parts) + 1, Type: kind, Size: len(b), body: b}
	if _, params, derr := mime.ParseMediaType(h.Get("Content-Disposition")); derr == nil {
		p.Name = decodeHeader(params["filename"])
	}
	if isText(b) {
		p.Shown, p.Text = true, string(b)
	}
	*parts = append(*parts, p)
	return err
}

// isText reports whether a part can be shown as text, whatever its type is. ASCII-armored OpenPGP data can.
func isText(b []byte) bool {
	if len(b) > maxShownText || !utf8.Valid(b) {
		return false
	}
	for _, r := range string(b) {
		if unicode.IsControl(r) && !strings.ContainsRune("\t\r\n", r) {
			return false
		}
	}
	return true
}
