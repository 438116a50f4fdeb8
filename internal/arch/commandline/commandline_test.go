package commandline_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/arch/commandline"
)

const source = "package main\n\n" + `
type cli struct {
	Serve serveCmd ` + "`cmd:\"\" help:\"Serve.\"`" + `
	Topic struct {
		Apply applyCmd ` + "`cmd:\"\" help:\"Make topics.\"`" + `
	} ` + "`cmd:\"\"`" + `
}

type place struct {
	DatabaseURL string ` + "`env:\"DATABASE_URL\" required:\"\" help:\"Where.\"`" + `
	hidden      int
}

type serveCmd struct {
	place
	SMTPPassword string ` + "`default:\"none\" enum:\"none,some\"`" + `
	Verbose      bool
	File         string ` + "`arg:\"\" help:\"What.\"`" + `
}

type applyCmd struct{ Count int ` + "`name:\"number\"`" + ` }
`

func TestCommandsAndFlagsAreReadFromTheSource(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := commandline.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []commandline.Command{
		{
			Words: "serve", Help: "Serve.",
			Flags: []commandline.Flag{
				{Name: "database-url", Env: "DATABASE_URL", Help: "Where.", Required: true},
				{Name: "smtp-password", Default: "none", Choices: "none,some"},
				{Name: "verbose", Switch: true},
			},
			Args: []commandline.Flag{{Name: "file", Help: "What."}},
		},
		{Words: "topic apply", Help: "Make topics.", Flags: []commandline.Flag{{Name: "number"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Read() (-want +got):\n%s", diff)
	}
	c, rest, ok := commandline.Find(got, []string{"topic", "apply", "--number", "3"})
	if !ok || c.Words != "topic apply" {
		t.Errorf(`Find("topic apply --number 3") = %q, %t`, c.Words, ok)
	}
	if diff := cmp.Diff([]string{"--number", "3"}, rest); diff != "" {
		t.Errorf("rest of the line (-want +got):\n%s", diff)
	}
	if c, _, ok := commandline.Find(got, []string{"topic", "drop"}); ok {
		t.Errorf(`Find("topic drop") = %q, want none`, c.Words)
	}
}

func TestABinaryWithoutCommandsIsAnError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := commandline.Read(dir); err == nil {
		t.Errorf("Read() = %v, want an error", got)
	}
}
