package process_test

import (
	"errors"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/payment"
	"github.com/platforma-cloud/orders/internal/process"
)

// everyPayment has settings for each payment provider that there is.
func everyPayment() process.PaymentSettings {
	return process.PaymentSettings{
		Demo: &process.DemoPayments{
			BaseURL: "http://127.0.0.1", Secret: []byte(strings.Repeat("k", 32)), Now: time.Now,
		},
	}
}

func TestWithoutSettingsOnlyThePaymentMethodOfNewTenantsIsOffered(t *testing.T) {
	t.Parallel()
	names := slices.Sorted(maps.Keys(process.Payments(process.PaymentSettings{})))
	if !slices.Equal(names, []string{payment.DefaultMethod}) {
		t.Errorf("offered are %v, want %s alone", names, payment.DefaultMethod)
	}
}

func TestEveryPaymentProviderSaysWhoMovesItsMoneyAndRefusesAForgedWebhook(t *testing.T) {
	t.Parallel()
	settings := everyPayment()
	fields := reflect.ValueOf(settings)
	for i := range fields.NumField() {
		if fields.Field(i).IsZero() {
			t.Errorf("everyPayment has no settings for %s", fields.Type().Field(i).Name)
		}
	}
	all := process.Payments(settings)
	if want := 1 + fields.NumField(); len(all) != want {
		t.Errorf("%d payment providers, want %d: bank transfers and one for each field of PaymentSettings", len(all), want)
	}
	for name, p := range all {
		props := p.Properties()
		for what, by := range map[string]payment.Party{"confirms": props.ConfirmedBy, "refunds": props.RefundedBy} {
			if by != payment.Operator && by != payment.Gateway {
				t.Errorf("%s does not say who %s", name, what)
			}
		}
		if props.Label == "" {
			t.Errorf("%s has no label for customers", name)
		}
		if _, err := p.Verify(http.Header{}, []byte(`{}`), time.Now()); !errors.Is(err, payment.ErrForged) {
			t.Errorf("%s reads a webhook without a signature: %v, want %v", name, err, payment.ErrForged)
		}
	}
}
