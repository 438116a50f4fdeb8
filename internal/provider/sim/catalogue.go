package sim

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/platforma-cloud/orders/internal/provider"
)

// part is one resource of a product: its kind is its name. The figures are the real time it takes.
type step struct {
	name           string
	ready, readyHi time.Duration // p50 and p95 from create to ready, split over the parts
	gone           time.Duration // p50 from delete to absent; p95 is three times that
}

// stepNames are a product's parts in order of creation. Even the slowest draw (see draw) of all parts
// together stays within the product's deadline (D6).
func stepsOf(product string) []step {
	switch product {
	case "vps":
		return []step{
			{"port", time.Second, 2 * time.Second, time.Second}, {"server", 25 * time.Second, 70 * time.Second, 5 * time.Second},
		}
	case "kubernetes":
		return []step{
			{"network", 3 * time.Second, 6 * time.Second, 3 * time.Second},
			{"control-plane", 5 * time.Minute, 10 * time.Minute, 30 * time.Second},
			{"workers", 4 * time.Minute, 8 * time.Minute, 20 * time.Second},
		}
	case "database":
		return []step{
			{"volume", 5 * time.Second, 10 * time.Second, 2 * time.Second}, {
				"instance", 4 * time.Minute,
				8 * time.Minute, 15 * time.Second,
			},
		}
	case "gpu":
		return []step{
			{"server-group", time.Second, 2 * time.Second, time.Second},
			{"nodes", 6 * time.Minute, 13 * time.Minute, 20 * time.Second},
		}
	case "private_cloud":
		return []step{
			{"cluster", 15 * time.Minute, 45 * time.Minute, time.Minute}, {
				"storage", 5 * time.Minute,
				15 * time.Minute, 30 * time.Second,
			},
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

// offered are the products of a region: hetzner-fsn1 sells VPS and object storage only (D14).
func offered(region string) []string {
	switch region {
	case "lj-1", "mb-1":
		return products()
	case "hetzner-fsn1":
		return []string{"vps", "object_storage"}
	}
	return nil
}

// images are a region's; as at the real one, hetzner-fsn1 has no Windows.
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

// Amounts are quantities of what a cloud runs out of, by resource: those of resourceNames.
type Amounts map[string]int64

// resourceNames in the order reports show them, each with its unit.
func resourceNames() [][2]string {
	return [][2]string{{"vcpu", "vCPU"}, {"ram_gb", "GiB"}, {"a100", "nodes"}, {"h100", "nodes"}, {"storage_gb", "GB"}}
}

// plenty is a region's default capacity and quota: more than any bench run uses.
func plenty() Amounts {
	return Amounts{"vcpu": 10_000_000, "ram_gb": 40_000_000, "a100": 50_000, "h100": 50_000, "storage_gb": 10_000_000_000}
}

func (a Amounts) add(b Amounts, times int64) {
	for k, v := range b {
		a[k] += times * v
	}
}

// lacking names a resource of which limit has not enough for used and need together, or "".
func lacking(need, used, limit Amounts) string {
	for _, r := range resourceNames() {
		if n := need[r[0]]; n > 0 && used[r[0]]+n > limit[r[0]] {
			return r[0]
		}
	}
	return ""
}

// configuration is what the sim reads of an item's configuration, under the members' names in the
// catalogue's schemas. The catalogue checks the rest.
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

// demand is what one part of an item takes from the pools. The sizes of plans are this cloud's own.
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

// replicas of a database: three with high availability.
func replicas(c configuration) int64 {
	if c.HighAvailability {
		return 3
	}
	return 1
}

// demandOf is what all parts of an item take together.
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
