# Defaults of this box under VirtualBox; a project's Vagrantfile may say otherwise.
Vagrant.configure("2") do |config|
  config.vm.synced_folder ".", "/vagrant", disabled: true
  config.vm.provider :virtualbox do |virtualbox|
    virtualbox.memory = 1024
    # Guest additions are not in the box: nothing is shared with the host.
    virtualbox.check_guest_additions = false
  end
end
