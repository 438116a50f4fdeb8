package mail

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"
	"time"
)

// attachmentName is the name of the password-encrypted file. gpg removes the ending when it decrypts.
const attachmentName = "credentials.txt.gpg"

// headers holds the values of a mail's header fields. All of them have been checked; nothing else from the
// input becomes a header.
type headers struct {
	from, brand, to, messageID, subject string
	at                                  time.Time
}

// fields returns the header fields in the order in which they are written.
func (h headers) fields() [][2]string {
	return [][2]string{
		{"From", (&mail.Address{Name: h.brand, Address: h.from}).String()},
		{"To", "<" + h.to + ">"},
		{"Subject", encodeWords(h.subject)},
		{"Date", h.at.UTC().Format(time.RFC1123Z)},
		{"Message-ID", "<" + h.messageID + ">"},
	}
}

// render returns the outer header without the fields of the body's entity.
func (h headers) render() []byte {
	var b bytes.Buffer
	for _, f := range h.fields() {
		writeField(&b, f[0], f[1])
	}
	writeField(&b, "MIME-Version", "1.0")
	writeField(&b, "Auto-Submitted", "auto-generated") // RFC 3834: asks for no automatic replies
	return b.Bytes()
}

// encodeWords encodes s by RFC 2047, with each encoded word on its own line.
func encodeWords(s string) string {
	return strings.ReplaceAll(mime.QEncoding.Encode("utf-8", s), "?= =?", "?=\r\n =?")
}

func writeField(b *bytes.Buffer, name, value string) { fmt.Fprintf(b, "%s: %s\r\n", name, value) }

// entity is a MIME body with its own header fields (RFC 2045).
type entity struct {
	fields [][2]string
	body   []byte
}

func (e entity) render() []byte {
	var b bytes.Buffer
	for _, f := range e.fields {
		writeField(&b, f[0], f[1])
	}
	b.WriteString("\r\n")
	b.Write(e.body)
	return b.Bytes()
}

// alternativeEntity returns one content as plain text and as HTML, the preferred form last (RFC 2046, section
// 5.1.4). Both are quoted-printable, which passes every relay unchanged.
func alternativeEntity(text, html string) (entity, error) {
	var parts []part
	for _, p := range [][2]string{{"text/plain", text}, {"text/html", html}} {
		body, err := quotedPrintable(p[1])
		if err != nil {
			return entity{}, err
		}
		parts = append(parts, part{
			header: map[string]string{
				"Content-Type":              p[0] + "; charset=utf-8",
				"Content-Transfer-Encoding": "quoted-printable",
			},
			body: body,
		})
	}
	return multipartEntity("multipart/alternative", parts...)
}

func quotedPrintable(text string) ([]byte, error) {
	var b bytes.Buffer
	w := quotedprintable.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		return nil, fmt.Errorf("write quoted-printable text: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("write quoted-printable text: %w", err)
	}
	return b.Bytes(), nil
}

// part is one part of a multipart entity.
type part struct {
	header map[string]string
	body   []byte
}

func multipartEntity(contentType string, parts ...part) (entity, error) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range parts {
		header := textproto.MIMEHeader{}
		for name, value := range p.header {
			header.Set(name, value)
		}
		out, err := w.CreatePart(header)
		if err != nil {
			return entity{}, fmt.Errorf("write mail part: %w", err)
		}
		if _, err := out.Write(p.body); err != nil {
			return entity{}, fmt.Errorf("write mail part: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return entity{}, fmt.Errorf("write mail parts: %w", err)
	}
	return entity{
		fields: [][2]string{{"Content-Type", contentType + ";\r\n boundary=\"" + w.Boundary() + `"`}},
		body:   b.Bytes(),
	}, nil
}

// encryptedEntity returns the multipart/encrypted of RFC 3156, section 4: a version part and the encrypted
// message, and nothing that can be read without the key.
func encryptedEntity(sealed sealedMessage) (entity, error) {
	armored, err := sealed.armor()
	if err != nil {
		return entity{}, err
	}
	return multipartEntity(`multipart/encrypted; protocol="application/pgp-encrypted"`,
		part{header: map[string]string{
			"Content-Type":        "application/pgp-encrypted",
			"Content-Description": "PGP/MIME version identification",
		}, body: []byte("Version: 1\r\n")},
		part{header: map[string]string{
			"Content-Type":        `application/octet-stream; name="encrypted.asc"`,
			"Content-Description": "OpenPGP encrypted message",
			"Content-Disposition": `inline; filename="encrypted.asc"`,
		}, body: crlf(armored)})
}

// attachmentEntity returns an explanation in plain text with one encrypted file.
func attachmentEntity(text string, sealed sealedMessage) (entity, error) {
	explanation, err := quotedPrintable(text)
	if err != nil {
		return entity{}, err
	}
	return multipartEntity("multipart/mixed",
		part{header: map[string]string{
			"Content-Type":              "text/plain; charset=utf-8",
			"Content-Transfer-Encoding": "quoted-printable",
		}, body: explanation},
		part{header: map[string]string{
			"Content-Type":              `application/octet-stream; name="` + attachmentName + `"`,
			"Content-Transfer-Encoding": "base64",
			"Content-Disposition":       `attachment; filename="` + attachmentName + `"`,
		}, body: base64Lines(sealed.bytes())})
}

// protectedEntity returns what is inside the encryption: the text with the real headers, which mail programs
// that know protected headers show.
func protectedEntity(h headers, text string) []byte {
	body := crlf([]byte(text))
	encoding := "8bit"
	if longestLine(body) > 998 { // RFC 5322, section 2.1.1; binary stays readable for a person who decrypts by hand
		encoding = "binary"
	}
	fields := append([][2]string{
		{"Content-Type", `text/plain; charset=utf-8; protected-headers="v1"`},
		{"Content-Transfer-Encoding", encoding},
	}, h.fields()...)
	return entity{fields: fields, body: body}.render()
}

func longestLine(b []byte) int {
	longest := 0
	for line := range bytes.Lines(b) {
		longest = max(longest, len(bytes.TrimRight(line, "\r\n")))
	}
	return longest
}

// crlf ends every line with CR LF, as mails require.
func crlf(b []byte) []byte {
	return bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
}

// base64Lines encodes b in lines of 76 characters (RFC 2045, section 6.8).
func base64Lines(b []byte) []byte {
	const perLine = 57 // bytes that become 76 characters
	var out bytes.Buffer
	for len(b) > 0 {
		n := min(perLine, len(b))
		out.WriteString(base64.StdEncoding.EncodeToString(b[:n]))
		out.WriteString("\r\n")
		b = b[n:]
	}
	return out.Bytes()
}
