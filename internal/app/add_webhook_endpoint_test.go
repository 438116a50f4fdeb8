package app_test

import (
	"context"
	"sync"
	"testing"

	"github.com/platforma-cloud/orders/internal/app"
)

func TestATenantHasAtMostTwentyEndpointsHoweverManyAreAddedAtOnce(t *testing.T) {
	t.Parallel()
	h := newWebhookHarness(t)
	for range 18 {
		h.addEndpoint("/hook")
	}
	var wg sync.WaitGroup
	ends := make(chan error, 6)
	for range 6 {
		wg.Go(func() {
			_, err := h.UseCases.API.AddWebhookEndpoint(context.WithoutCancel(t.Context()),
				h.admin(), app.AddWebhookEndpoint{URL: "https://hooks.example.com/"})
			ends <- err
		})
	}
	wg.Wait()
	close(ends)
	made := 0
	for err := range ends {
		if err == nil {
			made++
		} else if faultCode(err) != "too-many-webhooks" {
			t.Errorf("one too many: %v", err)
		}
	}
	if made != 2 {
		t.Errorf("%d of six were made beside eighteen, want 2", made)
	}
}

func TestAnInstallationWithoutItsKeyHasNoWebhooks(t *testing.T) {
	t.Parallel()
	h := newWebhookHarness(t)
	h.UseCases.API.Secrets = nil
	if _, err := h.UseCases.API.AddWebhookEndpoint(t.Context(), h.admin(), app.AddWebhookEndpoint{
		URL: "https://hooks.example.com/",
	}); faultCode(err) != "webhooks-not-set-up" {
		t.Errorf("add: %v", err)
	}
	if all, err := h.UseCases.API.WebhookEndpoints(t.Context(), h.admin()); err != nil || len(all) != 0 {
		t.Errorf("%d endpoints, %v", len(all), err)
	}
}
