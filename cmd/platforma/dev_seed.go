package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/platforma-cloud/orders/internal/payment"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/process"
	"github.com/platforma-cloud/orders/internal/tenant"
)

var randomBytes io.Reader = rand.Reader

// seedData is the content of seed.json: the identity, tenants and keys of a development installation. It is kept
// so that they stay the same after a restart.
type seedData struct {
	Installation  string       `json:"installation"`
	WebhookSecret []byte       `json:"webhook_secret"`
	Tenants       []seedTenant `json:"tenants"`
}

type seedTenant struct {
	Slug  string     `json:"slug"`
	ID    tenant.ID  `json:"id"`
	Users []seedUser `json:"users"`
	name  string
}

type seedUser struct {
	Role   string `json:"role"`
	Email  string `json:"email"`
	APIKey string `json:"api_key"`
	ID     string `json:"id"`
	id     tenant.MemberID
}

// demoTenants are the two organisations of a development installation. Orders of the first begin at once; the
// second has the safety window of D12, in minutes, and another brand colour.
var demoTenants = []struct {
	slug, name, brand string
	window            int
}{
	{"aurora", "Aurora Hosting", "#1d4ed8", 0},
	{"borealis", "Borealis Telecom", "#0f766e", 10},
}

// seed creates the demo tenants, their members and their keys, unless an earlier start did.
func seed(ctx context.Context, dir, admin string) (seedData, error) {
	s, err := loadOrMakeSeed(filepath.Join(dir, "seed.json"))
	if err != nil {
		return s, err
	}
	a, err := postgres.OpenAdmin(ctx, admin)
	if err != nil {
		return s, err
	}
	defer func() { _ = a.Close(ctx) }()
	db, err := postgres.Open(ctx, process.LoginURL(admin, postgres.LoginAPI),
		postgres.LoginAPI, postgres.Options{Clock: process.WallClock(1), NewID: process.NewID, MaxConns: 2})
	if err != nil {
		return s, err
	}
	defer db.Close()
	for i, t := range s.Tenants {
		if err := a.AddTenant(ctx, t.ID, t.Slug, time.Now().UTC()); err != nil {
			return s, err
		}
		if err := seedSettings(ctx, db, t, demoTenants[i].brand, demoTenants[i].window); err != nil {
			return s, err
		}
		for _, u := range t.Users {
			if err := seedMember(ctx, db, t.ID, u); err != nil {
				return s, err
			}
		}
	}
	return s, nil
}

// seedSettings gives a tenant its settings, unless it has some.
func seedSettings(ctx context.Context, db *postgres.DB, t seedTenant, brand string, window int) error {
	known, err := db.Settings(ctx, t.ID)
	if err != nil || known.Version > 0 {
		return err
	}
	known.Name, known.Currency, known.TimeZone = t.name, money.EUR, "Europe/Ljubljana"
	known.PaymentMethod = payment.DefaultMethod
	known.SafetyWindow, known.BrandColor, known.BrandContrast, known.Version = window, brand, "#ffffff", 1
	return db.InTenant(ctx, t.ID, app.With{}, func(tx app.Tx) error {
		tx.PutSettings(known)
		return nil
	})
}

// seedMember adds a member with an API key, unless the key exists.
func seedMember(ctx context.Context, db *postgres.DB, t tenant.ID, u seedUser) error {
	hash := sha256.Sum256([]byte(u.APIKey))
	if _, err := db.FindActor(ctx, hash); err == nil {
		return nil
	}
	role, _ := tenant.ParseRole(u.Role)
	if err := db.PutMember(ctx, t, app.Member{
		ID: u.id, Role: role, Subject: "dev:" + u.Email, Email: u.Email,
	}); err != nil {
		return err
	}
	now := time.Now().UTC()
	return db.AddAPIKey(ctx, t, postgres.APIKey{
		ID: process.NewID(), Member: u.id, Hash: hash, Prefix: u.APIKey[:8], CreatedAt: now, ExpiresAt: now.AddDate(1, 0, 0),
	})
}

// loadOrMakeSeed reads the seed of an earlier start, or makes a new one and stores it.
func loadOrMakeSeed(path string) (seedData, error) {
	var s seedData
	raw, err := os.ReadFile(path)
	switch {
	case err == nil:
		if err := json.Unmarshal(raw, &s); err != nil {
			return s, fmt.Errorf("read %s (delete the data folder to start over): %w", path, err)
		}
	case errors.Is(err, os.ErrNotExist):
		if s, err = makeSeed(); err != nil {
			return s, err
		}
		if err := writePrivate(path, s); err != nil {
			return s, err
		}
	default:
		return s, fmt.Errorf("read %s: %w", path, err)
	}
	for i := range s.Tenants {
		s.Tenants[i].name = demoTenants[i].name
		for j := range s.Tenants[i].Users {
			u := &s.Tenants[i].Users[j]
			if u.id, err = id.Parse[tenant.Member](u.ID); err != nil {
				return s, fmt.Errorf("read %s: %w", path, err)
			}
		}
	}
	return s, nil
}

func makeSeed() (seedData, error) {
	var secret [32]byte
	if _, err := io.ReadFull(randomBytes, secret[:]); err != nil {
		return seedData{}, fmt.Errorf("make a webhook secret: %w", err)
	}
	s := seedData{Installation: "dev-" + tenant.ID(process.NewID()).String(), WebhookSecret: secret[:]}
	for _, t := range demoTenants {
		st := seedTenant{Slug: t.slug, ID: process.NewID()}
		for _, r := range tenant.Roles() {
			var key [32]byte
			if _, err := io.ReadFull(randomBytes, key[:]); err != nil {
				return s, fmt.Errorf("make an API key: %w", err)
			}
			st.Users = append(st.Users, seedUser{
				Role: r.String(), Email: r.String() + "@" + t.slug + ".example", ID: tenant.MemberID(process.NewID()).String(),
				APIKey: "pfk_" + base64.RawURLEncoding.EncodeToString(key[:]),
			})
		}
		s.Tenants = append(s.Tenants, st)
	}
	return s, nil
}
