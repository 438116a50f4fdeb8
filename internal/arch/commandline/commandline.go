// Package commandline reads the commands and flags of the binary from the source of cmd/platforma. Documents are made
// from them and checked against them without running the binary. The package knows the struct tags that the binary's
// flag parser reads; it must not know what the commands do.
package commandline

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// rootType is the struct in cmd/platforma that lists the commands.
const rootType = "cli"

// Command is a command that can be run, such as "kafka apply".
type Command struct {
	Words string
	Help  string
	Flags []Flag
	Args  []Flag // positional
}

// Flag is a flag of a command, or a positional argument.
type Flag struct {
	Name     string // without dashes
	Default  string
	Env      string // the environment variable that is read if the flag is not given
	Choices  string // the allowed values, separated by commas; empty if any is allowed
	Help     string
	Required bool
	Switch   bool // takes no value
}

// Read returns all commands of the package in a folder.
func Read(dir string) ([]Command, error) {
	types, err := structs(dir)
	if err != nil {
		return nil, err
	}
	top, ok := types[rootType]
	if !ok {
		return nil, fmt.Errorf("read commands of %s: there is no type %s", dir, rootType)
	}
	var out []Command
	if err := commands(types, top, "", &out); err != nil {
		return nil, fmt.Errorf("read commands of %s: %w", dir, err)
	}
	return out, nil
}

// structs returns all struct types of a package by name.
func structs(dir string) (map[string]*ast.StructType, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	types := map[string]*ast.StructType{}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, e.Name()), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if ts, ok := n.(*ast.TypeSpec); ok {
				if st, ok := ts.Type.(*ast.StructType); ok {
					types[ts.Name.Name] = st
				}
			}
			return true
		})
	}
	return types, nil
}

// commands walks a struct of commands. A nested struct is a group of commands.
func commands(types map[string]*ast.StructType, in *ast.StructType, before string, out *[]Command) error {
	for _, f := range in.Fields.List {
		tag, presence := tagOf(f)
		if !presence.command || len(f.Names) != 1 {
			continue
		}
		words := strings.TrimSpace(before + " " + nameOf(f.Names[0].Name, tag))
		if group, ok := f.Type.(*ast.StructType); ok {
			if err := commands(types, group, words, out); err != nil {
				return err
			}
			continue
		}
		id, ok := f.Type.(*ast.Ident)
		if !ok || types[id.Name] == nil {
			return fmt.Errorf("command %q: its type is not a struct of this package", words)
		}
		c := Command{Words: words, Help: tag.Get("help")}
		if err := flags(types, types[id.Name], &c); err != nil {
			return err
		}
		*out = append(*out, c)
	}
	return nil
}

// flags reads a command's own and embedded fields.
func flags(types map[string]*ast.StructType, in *ast.StructType, c *Command) error {
	for _, f := range in.Fields.List {
		if len(f.Names) == 0 {
			id, ok := f.Type.(*ast.Ident)
			if !ok || types[id.Name] == nil {
				return errors.New("command " + c.Words + ": it embeds something that is not a struct of this package")
			}
			if err := flags(types, types[id.Name], c); err != nil {
				return err
			}
			continue
		}
		tag, presence := tagOf(f)
		for _, n := range f.Names {
			if !n.IsExported() || tag.Get("kong") == "-" {
				continue
			}
			id, _ := f.Type.(*ast.Ident)
			flag := Flag{
				Name: nameOf(n.Name, tag), Default: tag.Get("default"), Env: tag.Get("env"),
				Choices: tag.Get("enum"), Help: tag.Get("help"),
				Required: presence.required, Switch: id != nil && id.Name == "bool",
			}
			if presence.arg {
				c.Args = append(c.Args, flag)
			} else {
				c.Flags = append(c.Flags, flag)
			}
		}
	}
	return nil
}

// present says which of the tags without a value a field has.
type present struct{ command, arg, required bool }

func tagOf(f *ast.Field) (reflect.StructTag, present) {
	if f.Tag == nil {
		return "", present{}
	}
	raw, _ := strconv.Unquote(f.Tag.Value)
	tag := reflect.StructTag(raw)
	_, command := tag.Lookup("cmd")
	_, arg := tag.Lookup("arg")
	_, required := tag.Lookup("required")
	return tag, present{command, arg, required}
}

// nameOf returns a field's name on the command line: the name in its tag, or its own in lower case with dashes between
// words, where a run of capitals is one word.
func nameOf(field string, tag reflect.StructTag) string {
	if n := tag.Get("name"); n != "" {
		return n
	}
	r := []rune(field)
	var b strings.Builder
	for i, c := range r {
		if i > 0 && unicode.IsUpper(c) && (unicode.IsLower(r[i-1]) || i+1 < len(r) && unicode.IsLower(r[i+1])) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}

// Find returns the command that a line begins with, and the rest of the line. ok is false if there is none.
func Find(commands []Command, words []string) (c Command, rest []string, ok bool) {
	for n := min(2, len(words)); n > 0; n-- {
		i := slices.IndexFunc(commands, func(c Command) bool { return c.Words == strings.Join(words[:n], " ") })
		if i >= 0 {
			return commands[i], words[n:], true
		}
	}
	return Command{}, nil, false
}

// Has reports whether the command has a flag with a name.
func (c Command) Has(name string) bool {
	return slices.ContainsFunc(c.Flags, func(f Flag) bool { return f.Name == name })
}
