// Package config reads the installation's configuration file: the accounts at clouds and the placements,
// which say which account builds what. It turns the file into adapters and reports everything that is wrong
// with it at once. The types of accounts are listed here. The package knows no database and, apart from
// Clouds.Check, calls no cloud.
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
	Line int // 0: the file as a whole
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

// maxFileSize is the largest file in bytes that is read; it is far more than any installation needs.
const maxFileSize = 1 << 20

// Read reads a file and opens the adapters of its accounts. The error is a *FileError when the content of the
// file is wrong.
func Read(path string, d Defaults) (*Clouds, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the configuration file (docs/providers.md describes it): %w", err)
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("read the configuration file: %w", err)
	}
	if len(raw) > maxFileSize {
		return nil, fmt.Errorf("the configuration file %s is larger than 1 MiB", path)
	}
	return Parse(path, raw, d)
}

// Parse is Read for the content of a file. Faults call the file by name.
func Parse(name string, raw []byte, d Defaults) (*Clouds, error) {
	p := parser{types: accountTypes(d), clouds: &Clouds{byName: map[string]*Account{}}}
	p.parseDocument(raw)
	if len(p.faults) > 0 {
		p.clouds.Close()
		slices.SortStableFunc(p.faults, func(a, b Fault) int { return a.Line - b.Line })
		return nil, &FileError{File: name, Faults: p.faults}
	}
	return p.clouds, nil
}

// parser parses one file and collects its faults.
type parser struct {
	decoder
	types  map[string]accountType
	clouds *Clouds
}

func (p *parser) parseDocument(raw []byte) {
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	var root yaml.Node
	if err := dec.Decode(&root); errors.Is(err, io.EOF) {
		p.fault(0, "names no account; see the example in docs/providers.md")
		return
	} else if err != nil {
		p.syntaxFault(err)
		return
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		p.fault(0, "must be one document: remove the line ---")
		return
	}
	var file struct {
		Accounts   yaml.Node `yaml:"accounts"`
		Placements yaml.Node `yaml:"placements"`
	}
	if p.decodeMapping(root.Content[0], "the file", reflect.ValueOf(&file)) == nil {
		return
	}
	for _, n := range p.listEntries(&file.Accounts, "accounts") {
		p.parseAccount(n)
	}
	if len(p.clouds.accounts) == 0 && len(p.faults) == 0 {
		p.fault(0, "names no account; see the example in docs/providers.md")
	}
	for _, n := range p.listEntries(&file.Placements, "placements") {
		p.parsePlacement(n)
	}
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): (.*)$`)

// syntaxFault records that a file is not YAML. The likeliest cause is an asterisk without quotes.
func (p *parser) syntaxFault(err error) {
	line, text := 0, strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		text = m[2]
		_, _ = fmt.Sscan(m[1], &line) // only digits match the expression
	}
	p.fault(line, `this is not YAML: %s (an asterisk needs quotes: "*")`, text)
}

// accountName matches valid names of accounts. The name is also that of a job queue.
var accountName = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

const maxNameLength = 40

func (p *parser) parseAccount(n *yaml.Node) {
	var a Account
	a.line = n.Line
	accountType, known := p.types[scalar(n, "type")]
	if !known {
		p.typeFault(n)
		return
	}
	own := accountType.newSettings()
	what := "account " + scalar(n, "name")
	lines := p.decodeMapping(n, strings.TrimSpace(what), reflect.ValueOf(&a), own)
	if lines == nil || !p.checkName(&a, lines) {
		return
	}
	opened, faults, err := accountType.open(own)
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

// typeFault records that an account has no type or an unknown one.
func (p *parser) typeFault(n *yaml.Node) {
	written, all := scalar(n, "type"), typeNames(p.types)
	name := scalar(n, "name")
	what := strings.TrimSpace("account " + name)
	p.clouds.byName[name] = &Account{Name: name, line: n.Line} // so that placements on it are no faults as well
	if written == "" {
		p.fault(n.Line, "%s has no type: it must be one of %s", what, strings.Join(all, ", "))
		return
	}
	p.fault(n.Line, "%s has the unknown type %q; %s", what, written, suggestion(written, all))
}

// checkName records what is wrong with an account's name and reports whether it can be used.
func (p *parser) checkName(a *Account, lines map[string]int) bool {
	line, there := lines["name"]
	switch first, again := p.clouds.byName[a.Name]; {
	case !there || a.Name == "":
		p.fault(a.line, "an account has no name")
	case !accountName.MatchString(a.Name) || len(a.Name) > maxNameLength:
		p.fault(line, "the name %q must have only lower-case letters, digits and single hyphens, at most %d characters",
			a.Name, maxNameLength)
	case isReserved(a.Name):
		p.fault(line, "the name %q is reserved for a queue of the engine: choose another", a.Name)
	case again:
		p.fault(line, "the account %s is already in line %d", a.Name, first.line)
	default:
		return true
	}
	return false
}

// isReserved reports whether the engine has a queue of this name for a kind of task.
func isReserved(name string) bool {
	for k := fulfil.Validate; k.String() != ""; k++ {
		if k.String() == name {
			return true
		}
	}
	return false
}

func (p *parser) parsePlacement(n *yaml.Node) {
	var placement Placement
	placement.line = n.Line
	lines := p.decodeMapping(n, "a placement", reflect.ValueOf(&placement))
	if lines == nil {
		return
	}
	complete := true
	for _, key := range [][2]string{
		{"product", placement.Product}, {"region", placement.Region}, {"account", placement.Account},
	} {
		if key[1] == "" {
			p.fault(n.Line, "a placement has no %s", key[0])
			complete = false
		}
	}
	if !complete {
		return
	}
	for _, other := range p.clouds.placements {
		if other.Product == placement.Product && other.Region == placement.Region {
			p.fault(n.Line, "%s is already placed in line %d", placement.Pair(), other.line)
			return
		}
	}
	p.clouds.placements = append(p.clouds.placements, placement)
	a, there := p.clouds.byName[placement.Account]
	if !there {
		p.fault(lines["account"], "%s is placed on the unknown account %q; %s",
			placement.Pair(), placement.Account, suggestion(placement.Account, p.clouds.names()))
		return
	}
	if a.Provider != nil {
		p.checkOffered(placement, lines, a.Provider.Capabilities())
	}
}

// checkOffered records a placement of what the account can never build.
func (p *parser) checkOffered(placement Placement, lines map[string]int, caps provider.Capabilities) {
	account, product, region := placement.Account, placement.Product, placement.Region
	if !mayOffer(caps.Products, product) {
		p.fault(lines["product"], "account %s does not build %q; %s", account, product, suggestion(product, caps.Products))
	}
	if !mayOffer(caps.Regions, region) {
		p.fault(lines["region"], "account %s has no region %q; %s", account, region, suggestion(region, caps.Regions))
	}
}
