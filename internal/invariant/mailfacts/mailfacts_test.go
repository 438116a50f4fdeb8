package mailfacts_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/invariant"
	"github.com/platforma-cloud/orders/internal/invariant/mailfacts"
)

func TestEveryMessageIsReadAsItWasSent(t *testing.T) {
	t.Parallel()
	answers := map[string]string{
		"/api/messages":       `[{"id":1,"message_id":"<a@x>"},{"id":4,"message_id":""}]`,
		"/api/messages/1/raw": "Message-ID: <a@x>\r\n\r\none\r\n",
		"/api/messages/4/raw": "two",
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, found := answers[r.URL.Path]
		if !found {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(text))
	}))
	t.Cleanup(server.Close)
	got, err := mailfacts.Read(t.Context(), server.URL)
	if err != nil {
		t.Fatalf("Read() = %v", err)
	}
	want := &invariant.Mailbox{
		Mails: []invariant.Mail{{MessageID: "<a@x>", Raw: []byte("Message-ID: <a@x>\r\n\r\none\r\n")}, {Raw: []byte("two")}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Read() (-want +got):\n%s", diff)
	}
	delete(answers, "/api/messages/4/raw")
	if _, err := mailfacts.Read(t.Context(), server.URL); err == nil {
		t.Error("Read() with a missing message = nil")
	}
}
