package portal_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"testing"

	"github.com/platforma-cloud/orders/internal/portal/portaltest"
)

var (
	pageRoute = regexp.MustCompile(`(?m)^\t(?:open|page)\("(GET [^"]+)"`)
	redirects = map[string]bool{"GET /{$}": true, "GET /desk": true} // they answer with another page's address
)

// TestEveryPageIsInTheStorybook finds the page that no test would look at: its route is in portal.go and no entry
// of the storybook leads to it.
func TestEveryPageIsInTheStorybook(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("portal.go")
	if err != nil {
		t.Fatal(err)
	}
	unseen, mux := map[string]bool{}, http.NewServeMux()
	for _, m := range pageRoute.FindAllSubmatch(source, -1) {
		unseen[string(m[1])] = true
		mux.Handle(string(m[1]), http.NotFoundHandler())
	}
	if len(unseen) < 20 {
		t.Fatalf("saw %d routes of pages in portal.go: the pattern misses some", len(unseen))
	}
	for _, page := range portaltest.NewStory(newClock().Now).Pages {
		_, route := mux.Handler(httptest.NewRequest(http.MethodGet, page.Path, nil))
		delete(unseen, route)
	}
	for route := range unseen {
		if !redirects[route] {
			t.Errorf("no entry of the storybook leads to %q: add one in internal/portal/portaltest/pages.go", route)
		}
	}
}
