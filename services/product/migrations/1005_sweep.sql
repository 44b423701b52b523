-- A reservation that is swept takes its lines along.
ALTER TABLE reservation_lines DROP CONSTRAINT reservation_lines_order_id_fkey;
ALTER TABLE reservation_lines ADD CONSTRAINT reservation_lines_order_id_fkey
    FOREIGN KEY (order_id) REFERENCES reservations (order_id) ON DELETE CASCADE;

-- For the sweep; see `SERVED` in src/store/reservations.rs.
CREATE INDEX reservations_served ON reservations (updated_at) WHERE state = 'released';
