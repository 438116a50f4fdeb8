// Helpers of several test files.

package app_test

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"strings"
	"testing"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/order"
)

func reasoned(o order.ID, why string) app.Reasoned { return app.Reasoned{Order: o, Reason: why} }

func submit(o order.ID) app.SubmitOrder { return app.SubmitOrder{Order: o} }

func openDeadLetters(o order.ID) app.DeadLetterFilter {
	open := app.DeadLetterOpen
	return app.DeadLetterFilter{Order: o, State: &open, Limit: 100}
}

// rounds returns how often a test of a race is repeated: more often in the long form.
func rounds(inATest, inASoak int) int {
	if os.Getenv("PLATFORMA_SOAK") != "" {
		return inASoak
	}
	return inATest
}

// plainText returns the plain text part of a mail.
func plainText(t *testing.T, raw []byte) string {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := multipart.NewReader(m.Body, params["boundary"]).NextPart() // decodes quoted-printable
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(p)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(text)), " ")
}
