package config

import (
	"reflect"
	"strings"
)

// TypeNames are the names of all types of accounts, as an error lists them.
func TypeNames() string { return strings.Join(typeNames(accountTypes(Defaults{})), ", ") }

// TypeKeys are the keys of an account that each type adds, by its name.
func TypeKeys() map[string][]string {
	keys := map[string][]string{}
	for name, accountType := range accountTypes(Defaults{}) {
		_, keys[name] = taggedFields([]reflect.Value{accountType.newSettings()})
	}
	return keys
}
