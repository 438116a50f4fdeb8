package portal_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/portal"
	"github.com/platforma-cloud/orders/internal/portal/portaltest"
	"github.com/platforma-cloud/orders/internal/tenant"
)

func serve(t testing.TB, s *portaltest.Story, change func(*portal.Config)) *httptest.Server {
	t.Helper()
	cfg := portal.Config{
		Dev: true, Now: s.Fake.Now, Refresh: 100 * time.Millisecond,
		Log:       slog.New(slog.NewTextHandler(testLog{t}, nil)),
		Simulated: func(_, region, _ string) bool { return region == "mb-1" }, MailURL: "http://127.0.0.1:1080/",
	}
	for _, a := range []tenant.Actor{s.Ana, s.Olga, s.Adam, s.Vera, s.Bor} {
		name := "Acme Hosting"
		if a.Tenant == s.Beta {
			name = "Beta d.o.o."
		}
		cfg.Users = append(cfg.Users, portal.DemoUser{
			Tenant: a.Tenant, TenantName: name, Member: a.Member, Role: a.Role, Email: email(s, a),
		})
	}
	if change != nil {
		change(&cfg)
	}
	server := httptest.NewServer(portal.New(s.Fake, cfg))
	t.Cleanup(server.Close)
	return server
}

// The application implements the use cases of the pages.
var _ portal.UseCases = (*app.App)(nil)

type testLog struct{ t testing.TB }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Logf("%s", b)
	return len(b), nil
}

func email(s *portaltest.Story, a tenant.Actor) string {
	for who, name := range map[tenant.MemberID]string{
		s.Ana.Member: "ana@acme.example", s.Olga.Member: "olga@acme.example", s.Adam.Member: "adam@acme.example",
		s.Vera.Member: "vera@acme.example", s.Bor.Member: "bor@beta.example",
	} {
		if who == a.Member {
			return name
		}
	}
	return ""
}

// TestCustomerWalksFromSignInToDelivery drives a browser.
func TestCustomerWalksFromSignInToDelivery(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser is started")
	}
	s := portaltest.NewStory(time.Now)
	s.Fake.Pace = 300 * time.Millisecond
	server := serve(t, s, nil)
	portaltest.Walk(t, server.URL, portaltest.User{Email: "bor@beta.example"})
}

// TestEveryPageOfTheStorybook looks at each page in each state, at both widths and in both themes.
func TestEveryPageOfTheStorybook(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser is started")
	}
	s := portaltest.NewStory(time.Now)
	server := serve(t, s, nil)
	b := portaltest.Open(t, server.URL)
	b.Size(1280)
	only := os.Getenv("PORTAL_PAGE")
	current := tenant.Actor{}
	for _, page := range s.Pages {
		if only != "" && !strings.Contains(page.Name, only) {
			continue
		}
		if page.As.Member != current.Member {
			if !current.Member.IsZero() {
				b.SignOut()
			}
			if current = page.As; !current.Member.IsZero() {
				b.SignIn(portaltest.User{Email: email(s, current)})
			}
		}
		b.Go(page.Path)
		b.Look(page.Name)
		b.Size(1280)
		if page.Status == http.StatusOK {
			b.Quiet()
			continue
		}
		b.Quiet("Failed to load resource") // the browser logs every answer of 400 and above
	}
}

// TestCustomerWalksThroughARunningInstallation takes the same walk through a running platforma dev:
// PORTAL_URL=http://127.0.0.1:8080 PORTAL_USER=customer@aurora.example.
func TestCustomerWalksThroughARunningInstallation(t *testing.T) {
	base := os.Getenv("PORTAL_URL")
	if base == "" {
		t.Skip("PORTAL_URL is not set: no running installation was walked")
	}
	portaltest.Walk(t, base, portaltest.User{Email: os.Getenv("PORTAL_USER")})
}
