package config

import (
	"maps"
	"reflect"
	"slices"

	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/sim"
)

// Defaults are settings of accounts, by type, where the file says nothing.
type Defaults struct {
	Sim sim.Settings // platforma dev's own simulator; zero elsewhere
}

// accountTypes maps the type of an account to its adapter. To add a cloud is to add a line.
func accountTypes(d Defaults) map[string]accountType {
	return map[string]accountType{
		"sim": adapter(d.Sim, sim.Open),
	}
}

// settings are an adapter's own keys of an account: a struct whose fields carry yaml tags.
type settings interface {
	Faults() []provider.SettingFault // all that is wrong, apart from unknown keys and wrong kinds of values
}

// accountType is how the accounts of one type are read and opened.
type accountType struct {
	fresh func() reflect.Value // a pointer to settings, which the file's keys overwrite
	open  func(reflect.Value) (provider.Provider, []provider.SettingFault, error)
}

// adapter is an account type by its settings' defaults and its constructor, which sends nothing.
func adapter[S settings](defaults S, open func(S) (provider.Provider, error)) accountType {
	return accountType{
		fresh: func() reflect.Value {
			s := defaults
			return reflect.ValueOf(&s)
		},
		open: func(v reflect.Value) (provider.Provider, []provider.SettingFault, error) {
			s := *v.Interface().(*S) //nolint:forcetypeassert // it is what fresh made
			if faults := s.Faults(); len(faults) > 0 {
				return nil, faults, nil
			}
			p, err := open(s)
			return p, nil, err
		},
	}
}

func typeNames(types map[string]accountType) []string { return slices.Sorted(maps.Keys(types)) }
