package config

import (
	"maps"
	"reflect"
	"slices"

	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/sim"
)

// Defaults holds the settings that an account has, by its type, when the file does not set them.
type Defaults struct {
	Sim sim.Settings // the simulator of platforma dev; zero elsewhere
}

// accountTypes maps the types of accounts to their adapters. A new cloud is a new line here.
func accountTypes(d Defaults) map[string]accountType {
	return map[string]accountType{
		"sim": adapter(d.Sim, sim.Open),
	}
}

// settings is a struct with the keys of an account that belong to its adapter. Its fields have yaml tags.
type settings interface {
	// Faults returns everything that is wrong, apart from unknown keys and wrong kinds of values.
	Faults() []provider.SettingFault
}

// accountType reads the settings of accounts of one type and opens their adapters.
type accountType struct {
	newSettings func() reflect.Value // a pointer to the default settings, which the file's keys overwrite
	open        func(reflect.Value) (provider.Provider, []provider.SettingFault, error)
}

// adapter returns the account type of an adapter with these default settings. Its constructor open must not
// call the cloud.
func adapter[S settings](defaults S, open func(S) (provider.Provider, error)) accountType {
	return accountType{
		newSettings: func() reflect.Value {
			s := defaults
			return reflect.ValueOf(&s)
		},
		open: func(v reflect.Value) (provider.Provider, []provider.SettingFault, error) {
			s := *v.Interface().(*S) //nolint:forcetypeassert // newSettings returns this type
			if faults := s.Faults(); len(faults) > 0 {
				return nil, faults, nil
			}
			p, err := open(s)
			return p, nil, err
		},
	}
}

func typeNames(types map[string]accountType) []string { return slices.Sorted(maps.Keys(types)) }
