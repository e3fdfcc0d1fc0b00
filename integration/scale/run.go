package scale

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"poolwire/integration/lab"
	"poolwire/integration/lab/simhost"
	poolwirev1 "poolwire/proto/poolwire/v1"
)

// Config describes a run.
type Config struct {
	// Bin is the directory of poolwired, Dir one for the nodes' data.
	Bin, Dir string
	// Hosts and VIFs of each host; Few is with how many of the hosts changes are measured first.
	Hosts, VIFs, Few int
	// Active has the hosts dial the nodes. The others' databases are dialled by the leader.
	Active bool
	// Changes is how many rules are added, one after the other, for each figure.
	Changes int
	// Kills is how often the leader is killed.
	Kills int
	// Log is told what happens.
	Log func(format string, args ...any)
}

// patience bounds each wait.
const patience = 5 * time.Minute

// run is a run under way.
type run struct {
	cfg     Config
	cluster *cluster
	fleet   *simhost.Fleet
	pool    string
	figures Figures
}

// Run measures, and returns the figures it has even when it fails.
func Run(ctx context.Context, cfg Config) (_ *Figures, err error) {
	r := &run{cfg: cfg, figures: Figures{Hosts: cfg.Hosts, VIFs: cfg.VIFs}}
	if r.cluster, err = newCluster(ctx, cfg.Bin, cfg.Dir); err != nil {
		return &r.figures, err
	}
	defer func() { err = errors.Join(err, r.cluster.close()) }()
	certifier, err := simhost.NewCertifier(r.cluster.nodes[0].pki())
	if err != nil {
		return &r.figures, err
	}
	began := time.Now()
	opts := simhost.FleetOptions{Hosts: cfg.Hosts, VIFs: cfg.VIFs, Certifier: certifier}
	if cfg.Active {
		opts.Managers = r.cluster.managers()
	}
	if r.fleet, err = simhost.Start(ctx, opts); err != nil {
		return &r.figures, err
	}
	defer r.fleet.Close()
	cfg.Log("%d hosts simulated after %v", cfg.Hosts, time.Since(began))
	for _, step := range []func(context.Context) error{r.register, r.kills, r.restart} {
		if err := step(ctx); err != nil {
			return &r.figures, fmt.Errorf("%w\n%s", err, r.lastWords())
		}
	}
	return &r.figures, nil
}

func (r *run) lastWords() (out string) {
	for _, n := range r.cluster.nodes {
		out += n.id + ":\n" + n.lastWords(12) + "\n"
	}
	return out
}

// register registers a few hosts, measures changes, registers the others, and measures them
// again.
func (r *run) register(ctx context.Context) error {
	p, err := poolwirev1.NewPoolServiceClient(r.cluster.client).CreatePool(ctx, &poolwirev1.CreatePoolRequest{Pool: &poolwirev1.Pool{NameLabel: "scale"}})
	if err != nil {
		return err
	}
	r.pool = p.GetPool().GetUuid()
	few := min(r.cfg.Few, r.cfg.Hosts)
	if err := r.add(ctx, r.fleet.Hosts[:few]); err != nil {
		return err
	}
	if err := r.settled(ctx, few, 1); err != nil {
		return err
	}
	// The first rule of all and the last one concern every host: with none, ports that nobody
	// knows yet pass packets.
	if _, err := r.addRule(ctx, 0, 80); err != nil {
		return err
	}
	if r.figures.ChangeFew, err = r.changes(ctx, few); err != nil {
		return err
	}
	r.cfg.Log("%d rules with %d hosts: %v", r.cfg.Changes, few, r.figures.ChangeFew)
	began := time.Now()
	r.fleet.Count()
	if err := r.add(ctx, r.fleet.Hosts[few:]); err != nil {
		return err
	}
	r.figures.Registered = time.Since(began)
	if err := r.settled(ctx, r.cfg.Hosts, 1); err != nil {
		return err
	}
	r.figures.Configured, r.figures.ConfiguredBy = time.Since(began), r.fleet.Count()
	r.figures.Flows = r.fleet.Flows()
	r.cfg.Log("registered after %v, configured after %v", r.figures.Registered, r.figures.Configured)
	if err := r.footprint(ctx); err != nil {
		return err
	}
	if r.figures.ChangeAll, err = r.changes(ctx, r.cfg.Hosts); err != nil {
		return err
	}
	r.cfg.Log("%d rules with %d hosts: %v", r.cfg.Changes, r.cfg.Hosts, r.figures.ChangeAll)
	return nil
}

// registrars is how many clients register hosts at once.
const registrars = 16

// add registers hosts.
func (r *run) add(ctx context.Context, hosts []*simhost.Host) error {
	api := poolwirev1.NewHostServiceClient(r.cluster.client)
	return each(ctx, registrars, len(hosts), func(ctx context.Context, i int) error {
		h := hosts[i]
		host := &poolwirev1.Host{
			Uuid: h.UUID, NameLabel: h.Name, PoolUuid: r.pool, Address: h.Addr.String(),
			Mode: poolwirev1.ConnectionMode_CONNECTION_MODE_PASSIVE, Trust: poolwirev1.TrustMode_TRUST_MODE_CA,
		}
		if r.cfg.Active {
			host.Mode, host.Address, host.SystemId = poolwirev1.ConnectionMode_CONNECTION_MODE_ACTIVE, "", h.UUID
		}
		_, err := api.CreateHost(ctx, &poolwirev1.CreateHostRequest{Host: host})
		return err
	})
}

// settled waits until a number of hosts is ready, mastered with at least a generation, and
// has confirmed everything.
func (r *run) settled(ctx context.Context, hosts int, generation uint64) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := r.mastered(ctx, hosts, generation); err != nil {
		return err
	}
	if err := lab.Await(ctx, readEvery, "hosts to be ready", func() error { return r.ready(ctx, hosts) }); err != nil {
		return err
	}
	return r.confirmed(ctx, 0)
}

// mastered waits until a number of hosts has a master.
func (r *run) mastered(ctx context.Context, hosts int, generation uint64) error {
	return await(ctx, "masters", func() error {
		if n := r.fleet.Mastered(generation); n < hosts {
			return fmt.Errorf("%d of %d hosts have a master of generation %d", n, hosts, generation)
		}
		return nil
	})
}

// ready asks the leader's metrics: the status of a thousand hosts is much to ask for again and
// again.
func (r *run) ready(ctx context.Context, hosts int) error {
	leader, err := r.cluster.leader(ctx)
	if err != nil {
		return err
	}
	m, err := leader.metrics(ctx)
	if err != nil {
		return err
	}
	if n := int(m[`poolwire_hosts{state="ready"}`]); n < hosts {
		return fmt.Errorf("%d of %d hosts are ready", n, hosts)
	}
	return nil
}

// confirmed waits until all hosts have confirmed a revision, 0 for the latest.
func (r *run) confirmed(ctx context.Context, revision uint64) error {
	w, err := poolwirev1.NewClusterServiceClient(r.cluster.client).WaitForHosts(ctx, &poolwirev1.WaitForHostsRequest{Revision: revision, Timeout: durationpb.New(patience)})
	if err == nil && w.GetRealization().GetState() != poolwirev1.RealizationState_REALIZATION_STATE_CONFIRMED {
		err = fmt.Errorf("not confirmed: %v", w.GetRealization())
	}
	return err
}

// changes adds rules to VIFs of the first hosts, one after the other, and removes them.
func (r *run) changes(ctx context.Context, hosts int) (Times, error) {
	api := poolwirev1.NewRuleServiceClient(r.cluster.client)
	var took []time.Duration
	for i := range r.cfg.Changes {
		began := time.Now()
		created, err := r.addRule(ctx, i*hosts/r.cfg.Changes, 443)
		if err != nil {
			return Times{}, err
		}
		took = append(took, time.Since(began))
		deleted, err := api.DeleteRule(ctx, &poolwirev1.DeleteRuleRequest{Rule: created.GetRule().GetUuid()})
		if err != nil {
			return Times{}, err
		}
		if err := r.confirmed(ctx, deleted.GetRevision()); err != nil {
			return Times{}, err
		}
	}
	return timesOf(took), nil
}

// addRule adds a rule to a VIF of a host, and waits until it is confirmed.
func (r *run) addRule(ctx context.Context, host int, port uint32) (*poolwirev1.CreateRuleResponse, error) {
	created, err := poolwirev1.NewRuleServiceClient(r.cluster.client).CreateRule(ctx, &poolwirev1.CreateRuleRequest{Rule: &poolwirev1.Rule{
		VifUuid: r.fleet.Hosts[host].VIF(1 + host%r.cfg.VIFs).UUID, Direction: poolwirev1.Direction_DIRECTION_TO,
		Protocol: poolwirev1.Protocol_PROTOCOL_TCP, IpRange: "198.51.100.0/24", Port: &port,
	}})
	if err != nil {
		return nil, err
	}
	return created, r.confirmed(ctx, created.GetRevision())
}
