package sim

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/platforma-cloud/orders/internal/provider"
)

// step is one step of a product. Its name is the kind of resource that it makes. The durations are at speed 1.
type step struct {
	name               string
	readyP50, readyP95 time.Duration // from create to ready
	gone               time.Duration // p50 from delete to absent; p95 is three times that
}

// stepsOf returns a product's steps in order of creation. Even the slowest draws of all steps together (see
// lognormal) stay within the product's deadline (D6).
func stepsOf(product string) []step {
	switch product {
	case "vps":
		return []step{
			{"port", time.Second, 2 * time.Second, time.Second},
			{"server", 25 * time.Second, 70 * time.Second, 5 * time.Second},
		}
	case "kubernetes":
		return []step{
			{"network", 3 * time.Second, 6 * time.Second, 3 * time.Second},
			{"control-plane", 5 * time.Minute, 10 * time.Minute, 30 * time.Second},
			{"workers", 4 * time.Minute, 8 * time.Minute, 20 * time.Second},
		}
	case "database":
		return []step{
			{"volume", 5 * time.Second, 10 * time.Second, 2 * time.Second},
			{"instance", 4 * time.Minute, 8 * time.Minute, 15 * time.Second},
		}
	case "gpu":
		return []step{
			{"server-group", time.Second, 2 * time.Second, time.Second},
			{"nodes", 6 * time.Minute, 13 * time.Minute, 20 * time.Second},
		}
	case "private_cloud":
		return []step{
			{"cluster", 15 * time.Minute, 45 * time.Minute, time.Minute},
			{"storage", 5 * time.Minute, 15 * time.Minute, 30 * time.Second},
		}
	case "object_storage":
		return []step{{"bucket", 10 * time.Second, 30 * time.Second, 2 * time.Second}}
	}
	return nil
}

func findStep(product, name string) (step, bool) {
	steps := stepsOf(product)
	i := slices.IndexFunc(steps, func(s step) bool { return s.name == name })
	if i < 0 {
		return step{}, false
	}
	return steps[i], true
}

func products() []string {
	return []string{"vps", "kubernetes", "database", "gpu", "private_cloud", "object_storage"}
}

func regions() []string { return []string{"lj-1", "mb-1", "hetzner-fsn1"} }

// offered returns the products of a region. hetzner-fsn1 sells only VPS and object storage (D14).
func offered(region string) []string {
	switch region {
	case "lj-1", "mb-1":
		return products()
	case "hetzner-fsn1":
		return []string{"vps", "object_storage"}
	}
	return nil
}

// images returns the images of a region. hetzner-fsn1 has no Windows, like the real one.
func images(region string) []string {
	linux := []string{
		"ubuntu-22.04", "ubuntu-24.04", "ubuntu-26.04", "debian-12", "debian-13", "rocky-9", "rocky-10",
		"almalinux-9", "almalinux-10", "fedora-43", "opensuse-15.6", "centos-stream-9", "centos-stream-10",
	}
	if region == "hetzner-fsn1" {
		return linux
	}
	return append(linux, "windows-2022", "windows-2025")
}

// Amounts are quantities of limited capacity, by the names of capacityUnits.
type Amounts map[string]int64

// capacityUnits returns the kinds of capacity in the order that reports show them, each with its unit.
func capacityUnits() [][2]string {
	return [][2]string{{"vcpu", "vCPU"}, {"ram_gb", "GiB"}, {"a100", "nodes"}, {"h100", "nodes"}, {"storage_gb", "GB"}}
}

// unlimited returns a region's default capacity and quota, which is more than any test or benchmark uses.
func unlimited() Amounts {
	return Amounts{"vcpu": 10_000_000, "ram_gb": 40_000_000, "a100": 50_000, "h100": 50_000, "storage_gb": 10_000_000_000}
}

func (a Amounts) add(b Amounts, times int64) {
	for k, v := range b {
		a[k] += times * v
	}
}

// shortage returns the first kind of capacity whose limit is too low for used and need together, or "".
func shortage(need, used, limit Amounts) string {
	for _, r := range capacityUnits() {
		if n := need[r[0]]; n > 0 && used[r[0]]+n > limit[r[0]] {
			return r[0]
		}
	}
	return ""
}

// configuration holds the members of an item's configuration that the sim uses, with their names in the
// catalogue's schemas. The catalogue checks the others.
type configuration struct {
	OSImage          string   `json:"os_image"`
	SSHPublicKeys    []string `json:"ssh_public_keys"`
	Workers          int64    `json:"workers"`
	StorageGB        int64    `json:"storage_gb"`
	HighAvailability bool     `json:"high_availability"`
	GPUType          string   `json:"gpu_type"`
	Nodes            int64    `json:"nodes"`
	StorageTB        int64    `json:"storage_tb"`
	CapacityTB       int64    `json:"capacity_tb"`
	Replication      string   `json:"replication"`
}

func readConfiguration(raw json.RawMessage) (configuration, error) {
	var c configuration
	if len(raw) == 0 {
		return c, nil
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return c, fmt.Errorf("read configuration: %w", err)
	}
	return c, nil
}

// demand returns the capacity that the resource of one step takes. The sizes of plans are this cloud's own.
func demand(product, plan, stepName string, c configuration) Amounts {
	switch product + "/" + stepName {
	case "vps/server":
		cores := map[string]int64{"core": 2, "business": 4, "enterprise": 8}[plan]
		return Amounts{"vcpu": cores, "ram_gb": 2 * cores, "storage_gb": 20 * cores}
	case "kubernetes/control-plane":
		return Amounts{"vcpu": 6, "ram_gb": 12}
	case "kubernetes/workers":
		return Amounts{"vcpu": 4 * c.Workers, "ram_gb": 8 * c.Workers, "storage_gb": c.StorageGB}
	case "database/volume":
		return Amounts{"storage_gb": c.StorageGB * replicas(c)}
	case "database/instance":
		cores := map[string]int64{"starter": 2, "production": 8}[plan] * replicas(c)
		return Amounts{"vcpu": cores, "ram_gb": 4 * cores}
	case "gpu/nodes":
		return Amounts{c.GPUType: c.Nodes, "storage_gb": c.StorageGB}
	case "private_cloud/cluster":
		return Amounts{"vcpu": 32 * c.Nodes, "ram_gb": 128 * c.Nodes}
	case "private_cloud/storage":
		return Amounts{"storage_gb": 1000 * c.StorageTB}
	case "object_storage/bucket":
		copies := int64(1)
		if c.Replication == "dual_region" {
			copies = 2
		}
		return Amounts{"storage_gb": 1000 * c.CapacityTB * copies}
	}
	return Amounts{}
}

// replicas returns the number of a database's replicas: three with high availability.
func replicas(c configuration) int64 {
	if c.HighAvailability {
		return 3
	}
	return 1
}

// demandOf returns the capacity that all resources of an item take together.
func demandOf(s provider.Spec) (Amounts, error) {
	c, err := readConfiguration(s.Configuration)
	if err != nil {
		return nil, err
	}
	sum := Amounts{}
	for _, p := range stepsOf(s.Product) {
		sum.add(demand(s.Product, s.Plan, p.name, c), 1)
	}
	return sum, nil
}
