// Package config reads the installation's configuration file: which accounts at which clouds there are,
// and which of them builds what. It turns the file into adapters and a placement, and says all that is
// wrong with it at once. It is where the types of adapters are listed; it knows no database, and it
// sends nothing.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/provider"
)

// Fault is one thing that is wrong with the file.
type Fault struct {
	Line int // 0: of the file as a whole
	Text string
}

// FileError is everything that is wrong with a file.
type FileError struct {
	File   string
	Faults []Fault // in the order of their lines
}

// Error lists every fault with its line.
func (e *FileError) Error() string {
	if len(e.Faults) == 1 {
		return "the configuration cannot be used: " + e.at(e.Faults[0])
	}
	var b strings.Builder
	fmt.Fprintf(&b, "the configuration cannot be used, it has %d faults:", len(e.Faults))
	for _, f := range e.Faults {
		b.WriteString("\n  " + e.at(f))
	}
	return b.String()
}

func (e *FileError) at(f Fault) string {
	if f.Line == 0 {
		return e.File + ": " + f.Text
	}
	return fmt.Sprintf("%s:%d: %s", e.File, f.Line, f.Text)
}

// biggest is how much a file may hold; it is far more than any needs.
const biggest = 1 << 20

// Read reads a file and opens the adapters of its accounts. The error is a *FileError where the file's
// content is at fault.
func Read(path string, d Defaults) (*Clouds, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the configuration file (docs/providers.md says what it holds): %w", err)
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(io.LimitReader(f, biggest+1))
	if err != nil {
		return nil, fmt.Errorf("read the configuration file: %w", err)
	}
	if len(raw) > biggest {
		return nil, fmt.Errorf("the configuration file %s is larger than 1 MiB", path)
	}
	return Parse(path, raw, d)
}

// Parse is Read of a file's content; name is what faults call it.
func Parse(name string, raw []byte, d Defaults) (*Clouds, error) {
	p := parser{types: accountTypes(d), clouds: &Clouds{byName: map[string]*Account{}}}
	p.document(raw)
	if len(p.faults) > 0 {
		p.clouds.Close()
		slices.SortStableFunc(p.faults, func(a, b Fault) int { return a.Line - b.Line })
		return nil, &FileError{File: name, Faults: p.faults}
	}
	return p.clouds, nil
}

// parser reads one file.
type parser struct {
	decoder
	types  map[string]accountType
	clouds *Clouds
}

func (p *parser) document(raw []byte) {
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	var root yaml.Node
	if err := dec.Decode(&root); errors.Is(err, io.EOF) {
		p.fault(0, "names no account; docs/providers.md has an example")
		return
	} else if err != nil {
		p.syntax(err)
		return
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		p.fault(0, "must be one document: take out the line ---")
		return
	}
	var file struct {
		Accounts   yaml.Node `yaml:"accounts"`
		Placements yaml.Node `yaml:"placements"`
	}
	if p.mapping(root.Content[0], "the file", reflect.ValueOf(&file)) == nil {
		return
	}
	for _, n := range p.list(&file.Accounts, "accounts") {
		p.account(n)
	}
	if len(p.clouds.accounts) == 0 && len(p.faults) == 0 {
		p.fault(0, "names no account; docs/providers.md has an example")
	}
	for _, n := range p.list(&file.Placements, "placements") {
		p.placement(n)
	}
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): (.*)$`)

// syntax tells of a file that is no YAML. An asterisk without quotes is the likeliest reason.
func (p *parser) syntax(err error) {
	line, text := 0, strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		text = m[2]
		_, _ = fmt.Sscan(m[1], &line) // digits, by the expression
	}
	p.fault(line, `this is no YAML: %s (an asterisk needs quotes: "*")`, text)
}

// accountName is what may be an account's name: it is the name of a job queue too.
var accountName = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

const longestName = 40

func (p *parser) account(n *yaml.Node) {
	var a Account
	a.line = n.Line
	of, known := p.types[scalar(n, "type")]
	if !known {
		p.badType(n)
		return
	}
	own := of.fresh()
	what := "account " + scalar(n, "name")
	lines := p.mapping(n, strings.TrimSpace(what), reflect.ValueOf(&a), own)
	if lines == nil || !p.nameIsGood(&a, lines) {
		return
	}
	opened, faults, err := of.open(own)
	for _, f := range faults {
		line, there := lines[f.Setting]
		if !there {
			line = a.line
		}
		p.fault(line, "%s of account %s %s", f.Setting, a.Name, f.Message)
	}
	switch {
	case err != nil:
		p.fault(a.line, "account %s: %v", a.Name, err)
	case len(faults) == 0:
		a.Provider = opened
	}
	p.clouds.accounts = append(p.clouds.accounts, &a)
	p.clouds.byName[a.Name] = &a
}

func (p *parser) badType(n *yaml.Node) {
	written, all := scalar(n, "type"), typeNames(p.types)
	name := scalar(n, "name")
	what := strings.TrimSpace("account " + name)
	p.clouds.byName[name] = &Account{Name: name, line: n.Line} // so that placements on it are not at fault too
	if written == "" {
		p.fault(n.Line, "%s has no type: it must be one of %s", what, strings.Join(all, ", "))
		return
	}
	p.fault(n.Line, "%s has a type that is not known, %q; %s", what, written, meant(written, all))
}

func (p *parser) nameIsGood(a *Account, lines map[string]int) bool {
	line, there := lines["name"]
	switch first, again := p.clouds.byName[a.Name]; {
	case !there || a.Name == "":
		p.fault(a.line, "an account has no name")
	case !accountName.MatchString(a.Name) || len(a.Name) > longestName:
		p.fault(line, "the name %q must be of lower-case letters, digits and single hyphens, at most %d", a.Name, longestName)
	case reserved(a.Name):
		p.fault(line, "the name %q is taken by a queue of the engine: choose another", a.Name)
	case again:
		p.fault(line, "the account %s stands in line %d already", a.Name, first.line)
	default:
		return true
	}
	return false
}

// reserved reports whether the engine has a queue of this name for work that is no account's.
func reserved(name string) bool {
	for k := fulfil.Validate; k.String() != ""; k++ {
		if k.String() == name {
			return true
		}
	}
	return false
}

func (p *parser) placement(n *yaml.Node) {
	var to Placement
	to.line = n.Line
	lines := p.mapping(n, "a placement", reflect.ValueOf(&to))
	if lines == nil {
		return
	}
	complete := true
	for _, key := range [][2]string{{"product", to.Product}, {"region", to.Region}, {"account", to.Account}} {
		if key[1] == "" {
			p.fault(n.Line, "a placement has no %s", key[0])
			complete = false
		}
	}
	if !complete {
		return
	}
	for _, other := range p.clouds.placements {
		if other.Product == to.Product && other.Region == to.Region {
			p.fault(n.Line, "%s is placed in line %d already", to.Pair(), other.line)
			return
		}
	}
	p.clouds.placements = append(p.clouds.placements, to)
	a, there := p.clouds.byName[to.Account]
	if !there {
		p.fault(lines["account"], "%s is placed on an account that is not there, %q; %s",
			to.Pair(), to.Account, meant(to.Account, p.clouds.names()))
		return
	}
	if a.Provider != nil {
		p.offered(to, lines, a.Provider.Capabilities())
	}
}

// offered refuses a placement of what the account can never build.
func (p *parser) offered(to Placement, lines map[string]int, caps provider.Capabilities) {
	if !builds(caps.Products, to.Product) {
		p.fault(lines["product"], "account %s builds no %q; %s", to.Account, to.Product, meant(to.Product, caps.Products))
	}
	if !builds(caps.Regions, to.Region) {
		p.fault(lines["region"], "account %s has no region %q; %s", to.Account, to.Region, meant(to.Region, caps.Regions))
	}
}
