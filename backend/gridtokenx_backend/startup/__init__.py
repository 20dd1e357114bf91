"""What happens before a backend works: its keys and stores are opened, its terms are applied."""
