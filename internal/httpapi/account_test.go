package httpapi

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/platforma-cloud/orders/internal/app"
)

// filledSettings returns settings in which every member that a tenant can set has a value.
func filledSettings(t *testing.T) app.Settings {
	t.Helper()
	var s app.Settings
	v := reflect.ValueOf(&s).Elem()
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("json") == "-" {
			continue
		}
		switch f := v.Field(i); f.Kind() {
		case reflect.String:
			f.SetString("x")
		case reflect.Int:
			f.SetInt(7)
		case reflect.Bool:
			f.SetBool(true)
		default:
			t.Fatalf("extend filledSettings for %s", v.Type().Field(i).Name)
		}
	}
	return s
}

func TestEverySettingIsAMemberOfTheAPI(t *testing.T) {
	t.Parallel()
	want := filledSettings(t)
	got := showSettings(app.Caller{}, want).Body.settings()
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable()); diff != "" {
		t.Errorf("internal/httpapi/account.go lacks a setting, in settingsBody or a conversion (-app +API):\n%s", diff)
	}
	ours, theirs := reflect.TypeFor[app.Settings](), reflect.TypeFor[settingsBody]()
	for f := range ours.Fields() {
		stored := f.Tag.Get("json")
		if stored == "-" {
			continue
		}
		b, _ := theirs.FieldByName(f.Name)
		if name, _, _ := strings.Cut(b.Tag.Get("json"), ","); name != stored {
			t.Errorf("%s is stored as %q, the API says %q", f.Name, stored, name)
		}
	}
}
