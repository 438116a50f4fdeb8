package notice

import (
	_ "embed"
	"fmt"
	"html/template"
	"strings"
	"unicode/utf8"
)

// maxSubject is the most characters of a subject that we write and that mail programs show.
const maxSubject = 140

// layout is the HTML of every mail. It uses tables and style attributes only, because many mail programs support
// nothing else, and it loads nothing. Only the brand's bar and the button have colours of their own, so that a
// program in dark mode shows the rest dark.
//
//go:embed layout.html
var layout string

var tmpl = template.Must(template.New("mail").Parse(layout))

func (p page) mail(r Reader) (Mail, error) {
	m := Mail{Subject: short(p.Subject, maxSubject), Text: p.text()}
	surface, text := r.Brand.colours()
	var b strings.Builder
	err := tmpl.Execute(&b, struct {
		page
		Language      Language
		Brand         string
		Surface, Text template.CSS
	}{
		page: p, Language: r.Language, Brand: plain(r.Brand.Name),
		Surface: template.CSS(surface.String()), //nolint:gosec // #rrggbb, written by Colour.String
		Text:    template.CSS(text.String()),    //nolint:gosec // the same
	})
	if err != nil {
		return Mail{}, fmt.Errorf("render the mail %q: %w", p.Heading, err)
	}
	m.HTML = b.String()
	return m, nil
}

// textWidth is the most characters of a line of plain text.
const textWidth = 76

// text lays the page out as plain text.
func (p page) text() string {
	var b strings.Builder
	wrap(&b, "", p.Heading)
	for _, lead := range p.Lead {
		b.WriteString("\n")
		wrap(&b, "", lead)
	}
	if p.Note != "" {
		b.WriteString("\n")
		wrap(&b, "", p.Note)
	}
	if len(p.Lines) > 0 {
		b.WriteString("\n")
	}
	for _, l := range p.Lines {
		head := l.Name
		if l.Amount != "" {
			head += "  " + l.Amount
		}
		wrap(&b, "", head)
		for _, d := range l.Detail {
			wrap(&b, "   ", d)
		}
	}
	if p.Total.Label != "" {
		wrap(&b, "", p.Total.Label+": "+p.Total.Value)
	}
	if len(p.Facts) > 0 {
		b.WriteString("\n")
	}
	for _, f := range p.Facts {
		wrap(&b, "", f.Label+": "+f.Value)
	}
	if p.Fine != "" {
		b.WriteString("\n")
		wrap(&b, "", p.Fine)
	}
	if p.Button.Value != "" {
		b.WriteString("\n" + p.Button.Label + ":\n" + p.Button.Value + "\n")
	}
	b.WriteString("\n")
	wrap(&b, "", p.Footer)
	return b.String()
}

// wrap writes a paragraph in lines of at most textWidth characters, each indented.
func wrap(b *strings.Builder, indent, paragraph string) {
	column := 0
	for word := range strings.SplitSeq(paragraph, " ") {
		n := utf8.RuneCountInString(word)
		switch {
		case column == 0:
			b.WriteString(indent)
			column = len(indent)
		case column+1+n > textWidth:
			b.WriteString("\n" + indent)
			column = len(indent)
		default:
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += n
	}
	b.WriteString("\n")
}
