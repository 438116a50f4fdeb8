// Command platforma is the order-to-delivery module of a cloud platform: one binary that serves the
// API and the portal, carries the work, relays the events, and brings a whole development
// installation with it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is set by the linker for releases.
var version = "development"

type cli struct {
	Demo    demoCmd    `cmd:"" help:"Start everything embedded, play the demo orders, and stay up."`
	Dev     devCmd     `cmd:"" help:"Start everything embedded for development: PostgreSQL, broker, mail inbox, simulated cloud, API and portal."`
	Serve   serveCmd   `cmd:"" help:"Serve a part or all of an installation on your own PostgreSQL and Kafka."`
	Sim     simCmd     `cmd:"" help:"Run the simulated cloud as a program of its own."`
	Migrate migrateCmd `cmd:"" help:"Create or update the database's tables, as its owner."`
	Kafka   struct {
		Apply kafkaApplyCmd `cmd:"" help:"Create the topics that are missing and refuse those that are wrong."`
	} `cmd:"" help:"Topics."`
	Events struct {
		Rebuild eventsRebuildCmd `cmd:"" help:"Fill the topic anew from the database, when it was lost or does not fit; without --yes say what that would do."`
		Verify  eventsVerifyCmd  `cmd:"" help:"Compare every event with what the witness saw of it on the topic; status 1 when they differ."`
	} `cmd:"" help:"The events on the topic."`
	Providers struct {
		List  providersListCmd  `cmd:"" help:"List the accounts and what is placed on them."`
		Check providersCheckCmd `cmd:"" help:"Ask the accounts what they offer and miss; status 1 when something is missing."`
	} `cmd:"" help:"The clouds that build what is ordered."`
	Catalog struct {
		Diff  catalogDiffCmd  `cmd:"" help:"Show what a catalogue file would change."`
		Apply catalogApplyCmd `cmd:"" help:"Add a catalogue file's versions."`
		Show  catalogShowCmd  `cmd:"" help:"Print the catalogue that is sold now, as a file that diff and apply take."`
	} `cmd:"" help:"Products and prices."`
	Rates struct {
		Set  ratesSetCmd  `cmd:"" help:"Record an exchange rate, such as: rates set EUR/CHF 0.9345"`
		List ratesListCmd `cmd:"" help:"List the rates in force."`
	} `cmd:"" help:"Exchange rates."`
	Orders struct {
		List  ordersListCmd  `cmd:"" help:"List orders, newest first."`
		Show  ordersShowCmd  `cmd:"" help:"Show an order with its items and its money."`
		Watch ordersWatchCmd `cmd:"" help:"Follow an order until it is at rest; status 1 when it was not fulfilled."`
		Saga  ordersSagaCmd  `cmd:"" help:"Print how an order was built or taken down: every call, both ways, with its times."`
	} `cmd:"" help:"Orders, through the API."`
	Deadletters struct {
		List    deadLettersListCmd    `cmd:"" help:"List what needs a person, newest first."`
		Groups  deadLettersGroupsCmd  `cmd:"" help:"Count it by cause, with what to do first."`
		Show    deadLettersShowCmd    `cmd:"" help:"Show one: every attempt, what is left at the provider, the refund, what to do."`
		Redrive deadLettersRedriveCmd `cmd:"" help:"Try one or many again; status 1 when one was refused."`
		Adopt   deadLettersAdoptCmd   `cmd:"" help:"Say which resource of a stuck clean-up is there at the provider."`
		Abandon deadLettersAbandonCmd `cmd:"" help:"Sign that stuck work is given up. It takes two people."`
	} `cmd:"" help:"The fallout desk, through the API."`
	Workitems struct {
		List workListCmd `cmd:"" help:"List the refunds to be moved by hand, oldest first."`
		Done workDoneCmd `cmd:"" help:"Say that one was moved."`
	} `cmd:"" help:"Refunds by hand, through the API."`
	Analytics struct {
		Check   analyticsCheckCmd   `cmd:"" help:"Compare the roll-up behind the figures with the orders; status 1 when they differ."`
		Rebuild analyticsRebuildCmd `cmd:"" help:"Count the roll-up anew from the orders, as after a restore."`
	} `cmd:"" help:"The figures of GET /v1/analytics/orders."`
	Audit struct {
		Verify   auditVerifyCmd   `cmd:"" help:"Check the witness's hash chains, in the database or in an exported file; status 1 when one is broken."`
		Export   auditExportCmd   `cmd:"" help:"Write the witness log as JSON lines, to be checked elsewhere."`
		Findings auditFindingsCmd `cmd:"" help:"List what the witness found wrong about the topic, with what to do; status 1 when there is something."`
	} `cmd:"" help:"The independent witness of what the topic carried."`
	Routing routingCmd `cmd:"" help:"Print who hears which event, and how each consumer stands: lag, applied, duplicates, parked."`
	Doctor  doctorCmd  `cmd:"" help:"Check a running installation from outside."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// globals reach every command.
type globals struct {
	ctx context.Context
	out io.Writer
	err io.Writer
}

// errReported ends a command that has told its trouble already: only the exit status is left to say.
var errReported = errors.New("reported")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c cli
	k := kong.Parse(&c, kong.Name("platforma"), kong.UsageOnError(),
		kong.Description("Platforma Orders: from shopping cart to running infrastructure. Start with: platforma demo"))
	err := k.Run(&globals{ctx: ctx, out: os.Stdout, err: os.Stderr})
	switch {
	case err == nil:
	case errors.Is(err, errReported):
		os.Exit(1)
	case errors.Is(err, context.Canceled):
		os.Exit(130)
	default:
		fmt.Fprintln(os.Stderr, "platforma:", err)
		os.Exit(1)
	}
}

type versionCmd struct{}

func (versionCmd) Run(g *globals) error {
	_, err := fmt.Fprintln(g.out, "platforma", version)
	return err
}

// logTo writes what operators read; verbose adds the details.
func logTo(w io.Writer, verbose bool) *slog.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}
